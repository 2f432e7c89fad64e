// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstring>
#include <memory>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "cli/values.h"
#include "command.h"
#include "measure.h"
#include "raw_store.h"
#include "scratch_file.h"

namespace qstore::cli {
namespace {

namespace fs = std::filesystem;

struct RawArguments {
  std::vector<std::string> paths;
  std::string codec = "none";
  int zstd_level = 3;
  std::string operation;
  std::string store;
  std::string directory;
  std::string range;
  MeasureOptions measure;
};

struct RawTotals {
  uint64_t bytes = 0;
  uint64_t stored_bytes = 0;
};

// Part of the files laid end to end.
struct Range {
  uint64_t begin = 0;
  uint64_t end = UINT64_MAX;
};

bool ParseRange(const std::string& text, Range* range) {
  char behind = 0;
  const int got = std::sscanf(text.c_str(), "%20lu:%20lu%c", &range->begin, &range->end, &behind);
  return got == 2 && range->begin <= range->end;
}

std::string CheckRange(const std::string& text) {
  Range range;
  return ParseRange(text, &range) ? "" : "must be FIRST:END, in bytes";
}

RawCodecFactory CodecOf(const RawArguments& arguments) {
  if (arguments.codec == "lz4") return Lz4Codec();
  if (arguments.codec == "zstd") return ZstdCodec(arguments.zstd_level);
  return nullptr;
}

Status SaveRuns(const RawArguments& arguments, std::span<const fs::path> files,
                const fs::path& store, Measurement* measurement, RawTotals* totals) {
  const unsigned threads = ThreadsOf(arguments.measure.threads);
  return measurement->Repeat(files, [&](RunClock* clock) -> Status {
    std::error_code error;
    fs::remove(store, error);
    *clock = RunClock();
    const auto opened = RawFiles::Open(files);
    if (!opened.ok()) return opened.status();
    const Status status = RawStore::Save(*opened, CodecOf(arguments), threads, store);
    clock->Stop();
    if (!status.ok()) return status;
    *totals = {opened->size(), fs::file_size(store, error)};
    return {};
  });
}

Status Compare(const RawFiles& files, uint64_t begin, std::span<const std::byte> content) {
  std::vector<std::byte> buffer(kRawChunkBytes);
  for (uint64_t at = 0; at < content.size(); at += buffer.size()) {
    const auto part = std::span(buffer).first(std::min(buffer.size(), content.size() - at));
    if (const Status status = files.ReadAt(begin + at, part); !status.ok()) return status;
    if (std::memcmp(part.data(), content.data() + at, part.size()) != 0) {
      return Mismatch("what was loaded differs from the files");
    }
  }
  return {};
}

// From opening to the last byte, of the files themselves or of what they were compressed to.
Status LoadOnce(const RawArguments& arguments, std::span<const fs::path> paths, TokenBucket* bucket,
                RunClock* clock, FreshMemory* memory, RawTotals* totals) {
  const unsigned threads = ThreadsOf(arguments.measure.threads);
  const bool is_plain = arguments.codec == "none";
  const auto files = is_plain ? RawFiles::Open(paths) : Result<RawFiles>(RawFiles());
  if (!files.ok()) return files.status();
  const auto store =
      is_plain ? Result<RawStore>(RawStore()) : RawStore::Open(paths.front(), bucket);
  if (!store.ok()) return store.status();
  clock->EndStage("open");
  const uint64_t size = is_plain ? files->size() : store->raw_size();
  Range range;
  if (!arguments.range.empty()) ParseRange(arguments.range, &range);
  range.end = std::min(range.end, size);
  if (range.begin > range.end) return InvalidArgument("--range: beyond the end of the files");
  Status status = memory->Allocate(range.end - range.begin, arguments.measure.huge_pages);
  if (!status.ok()) return status;
  status = is_plain
               ? files->Load(threads, bucket, range.begin, memory->bytes())
               : store->Load(CodecOf(arguments), threads, bucket, range.begin, memory->bytes());
  clock->EndStage("read");
  clock->Stop();
  *totals = {range.end - range.begin, is_plain ? size : store->stored_size()};
  return status;
}

Status LoadRuns(const RawArguments& arguments, std::span<const fs::path> files,
                const fs::path& store, Measurement* measurement, RawTotals* totals) {
  const auto originals = RawFiles::Open(files);
  if (!originals.ok()) return originals.status();
  const bool is_plain = arguments.codec == "none";
  std::error_code error;
  if (!is_plain && !fs::exists(store, error)) {
    const Status status =
        RawStore::Save(*originals, CodecOf(arguments), ThreadsOf(arguments.measure.threads), store);
    if (!status.ok()) return status;
  }
  Range range;
  if (!arguments.range.empty()) ParseRange(arguments.range, &range);
  const auto read = is_plain ? files : std::span(&store, 1);
  bool is_compared = false;
  return measurement->Repeat(read, [&](RunClock* clock) -> Status {
    FreshMemory memory;
    const Status status = LoadOnce(arguments, read, &measurement->bucket(), clock, &memory, totals);
    if (!status.ok() || is_compared) return status;
    is_compared = true;
    return Compare(*originals, range.begin, memory.bytes());
  });
}

void PrintRaw(const RawArguments& arguments, const Measurement& measurement,
              const RawTotals& totals) {
  if (!arguments.measure.json) {
    return measurement.Print(arguments.operation + " " + arguments.codec, totals.bytes,
                             totals.stored_bytes);
  }
  JsonWriter document;
  document.BeginObject();
  document.Add("operation", arguments.operation);
  document.Add("codec", arguments.codec);
  if (arguments.codec == "zstd") document.Add("zstd_level", arguments.zstd_level);
  if (arguments.operation == "save") document.Add("sync", false);
  measurement.AddTo(&document);
  document.Add("bytes", totals.bytes);
  document.Add("stored_bytes", totals.stored_bytes);
  document.End();
  PrintJson(document);
}

Status Measure(const RawArguments& arguments) {
  std::vector<fs::path> files;
  for (const std::string& path : arguments.paths) {
    const auto below = FilesBelow(path);
    if (!below.ok()) return below.status();
    files.insert(files.end(), below->begin(), below->end());
  }
  const ScratchFile scratch(arguments.directory);
  const fs::path store = arguments.store.empty() ? scratch.path() : fs::path(arguments.store);
  Measurement measurement(arguments.measure);
  RawTotals totals;
  const auto runs = arguments.operation == "save" ? SaveRuns : LoadRuns;
  const Status status = runs(arguments, files, store, &measurement, &totals);
  if (status.ok()) PrintRaw(arguments, measurement, totals);
  return status;
}

int RunRaw(const RawArguments& arguments) {
  const Status status = Measure(arguments);
  return status.ok() ? kExitDone : Report(status);
}

}  // namespace

void AddBenchRaw(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<RawArguments>();
  command->add_option("paths", arguments->paths, "File, or directory of files")
      ->required()
      ->check(CLI::ExistingPath)
      ->type_name("PATH");
  TakeWord(command->add_option("--codec", arguments->codec, "Compressor (default: none)"),
           {"none", "lz4", "zstd"});
  command->add_option("--zstd-level", arguments->zstd_level, "Level of zstd, 1 to 19 (default: 3)")
      ->check(CLI::Range(1, 19))
      ->type_name("N");
  TakeWord(command->add_option("--operation", arguments->operation, "What to time"),
           {"save", "load"})
      ->required();
  command->add_option("--store", arguments->store, "Compressed file, which stays for later loads")
      ->type_name("FILE");
  command
      ->add_option("--directory", arguments->directory, "Directory for that file, without --store")
      ->check(CLI::ExistingDirectory)
      ->type_name("DIR");
  command
      ->add_option("--range", arguments->range,
                   "Load only these bytes of the files, laid end to end in the order of paths")
      ->check(CLI::Validator(CheckRange, ""))
      ->type_name("FIRST:END");
  AddRunOptions(command, &arguments->measure);
  AddReadOptions(command, &arguments->measure);
  command->callback([=] { *exit_code = RunRaw(*arguments); });
}

}  // namespace qstore::cli
