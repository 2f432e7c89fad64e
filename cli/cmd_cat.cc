// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "open_archive.h"
#include "qstore/file_reader.h"
#include "qstore/source.h"
#include "qstore_apps/file_cache.h"
#include "suggest.h"
#include "terminal.h"
#include "values.h"

namespace qstore::cli {
namespace {

struct CatArguments {
  std::string archive;
  std::string variant;
  std::string name;
  ReadLimits limits;
  unsigned threads = 0;
  bool is_tensor = false;
  bool force = false;
  bool json = false;
};

/// What is to be written.
struct Content {
  size_t file = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
  std::optional<size_t> tensor = {};
};

Result<Content> FindFile(const Archive& archive, size_t variant, const std::string& path) {
  const VariantInfo info = archive.variant(variant);
  for (size_t f = info.first_file; f < info.first_file + info.file_count; ++f) {
    const FileInfo file = archive.file(f);
    if (file.path != path) continue;
    if (file.is_directory) return InvalidArgument("'" + path + "' is a directory");
    return Content{f, 0, file.size};
  }
  return NotFound("no such file");
}

Result<Content> FindTensor(const Archive& archive, const mount::FileCache& cache, size_t variant,
                           const std::string& name) {
  const auto tensor = archive.FindTensor(variant, name);
  if (!tensor.ok()) return tensor.status();
  const auto offset = cache.reader().OffsetOf(*tensor);
  if (!offset.ok()) return offset.status();
  const TensorInfo info = archive.tensor(*tensor);
  return Content{info.file, *offset, *offset + info.byte_size, *tensor};
}

// Of files, then of tensors.
std::vector<std::string> NamesIn(const Archive& archive, const VariantInfo& variant) {
  std::vector<std::string> names;
  for (size_t f = 0; f < variant.file_count; ++f) {
    names.emplace_back(archive.file(variant.first_file + f).path);
  }
  for (size_t t = 0; t < variant.tensor_count; ++t) {
    names.emplace_back(archive.tensor(variant.first_tensor + t).name);
  }
  return names;
}

Result<Content> Find(const Archive& archive, const mount::FileCache& cache,
                     const CatArguments& arguments) {
  const auto variant = archive.FindVariant(arguments.variant);
  if (!variant.ok()) return variant.status();
  if (!arguments.is_tensor) {
    auto file = FindFile(archive, *variant, arguments.name);
    if (file.ok() || file.status().code() != ErrorCode::kNotFound) return file;
  }
  auto tensor = FindTensor(archive, cache, *variant, arguments.name);
  if (tensor.ok() || tensor.status().code() != ErrorCode::kNotFound || arguments.is_tensor) {
    return tensor;
  }
  return NotFound(archive.path().string() + ": variant '" + arguments.variant +
                  "' has no file and no tensor named '" + arguments.name +
                  "'; `qstore ls` lists them" +
                  DidYouMean(arguments.name, NamesIn(archive, archive.variant(*variant))));
}

Status WriteAll(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR && !StopRequested()) continue;
    if (written < 0) return IoError(std::string("standard output: ") + std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

// A terminal takes such bytes for commands.
bool IsBinary(std::span<const std::byte> bytes) {
  return std::ranges::find(bytes, std::byte{0}) != bytes.end();
}

Status Write(const Content& content, bool to_terminal, mount::FileCache* cache) {
  mount::Reading reading(content.file);
  for (uint64_t at = content.begin; at < content.end;) {
    if (StopRequested()) return Cancelled();
    const auto piece = cache->Find(&reading, at, content.end - at);
    if (!piece.ok()) return piece.status();
    const auto bytes = piece->bytes();
    if (to_terminal && IsBinary(bytes)) {
      return InvalidArgument(
          "standard output is a terminal, and these bytes are no text: "
          "redirect it, or say --force");
    }
    const Status written = WriteAll(bytes);
    if (!written.ok()) return written;
    at += bytes.size();
  }
  return {};
}

// What would be written, in place of it.
void PrintDescription(const Archive& archive, const CatArguments& arguments,
                      const Content& content) {
  JsonWriter document;
  document.BeginObject();
  document.Add("archive", arguments.archive);
  document.Add("variant", arguments.variant);
  document.Add("file", archive.file(content.file).path);
  if (content.tensor) {
    const TensorInfo tensor = archive.tensor(*content.tensor);
    document.Add("tensor", tensor.name);
    document.Add("dtype", DTypeName(tensor.dtype));
    document.Add("shape", std::vector<uint64_t>(tensor.shape.begin(), tensor.shape.end()));
  }
  document.Add("offset", content.begin);
  document.Add("bytes", content.end - content.begin);
  document.End();
  PrintJson(document);
}

int RunCat(const CatArguments& arguments) {
  const OpenOptions& options = arguments.limits.open;
  mount::FileCacheOptions cache_options;
  cache_options.memory = std::min(cache_options.memory, options.max_memory / 2);
  cache_options.threads = arguments.threads;
  cache_options.is_slow = IsUrl(arguments.archive);
  const auto archive = OpenArchive(arguments.archive, options);
  if (!archive.ok()) return Report(archive.status());
  const auto cache = mount::FileCache::Make(*archive, cache_options);
  if (!cache.ok()) return Report(cache.status());
  const auto content = Find(*archive, **cache, arguments);
  if (!content.ok()) return Report(content.status());
  if (arguments.json) {
    PrintDescription(*archive, arguments, *content);
    return kExitDone;
  }
  const bool to_terminal = !arguments.force && ::isatty(STDOUT_FILENO) == 1;
  return Report(Write(*content, to_terminal, cache->get()));
}

}  // namespace

void AddCatCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<CatArguments>();
  command->add_option("archive", arguments->archive, "Archive to read: a path or a URL")
      ->required();
  command->add_option("variant", arguments->variant, "Variant that has it")
      ->required()
      ->type_name("NAME");
  command->add_option("name", arguments->name, "Path of a file, or name of a tensor")
      ->required()
      ->type_name("FILE|TENSOR");
  command->add_flag("--tensor", arguments->is_tensor,
                    "Take the name for that of a tensor, even where a file has it");
  AddThreads(command, &arguments->threads);
  arguments->limits.AddOptions(command, "");
  command->add_flag("--force", arguments->force, "Write bytes that are no text even to a terminal");
  command->add_flag("--json", arguments->json,
                    "Tell as one JSON document what it is, and write none of its bytes");
  command->callback([=] { *exit_code = RunCat(*arguments); });
}

}  // namespace qstore::cli
