// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "command.h"
#include "compare.h"
#include "measure.h"
#include "qstore/archive.h"

namespace qstore::cli {
namespace {

struct LoadArguments {
  std::string archive;
  std::vector<std::string> variants;
  std::vector<std::string> originals;
  std::string tensor;
  std::string rows;
  uint64_t row_begin = 0;
  uint64_t row_end = kAllRows;
  bool buffers = false;
  MeasureOptions measure;
  ReadLimits limits;

  // Whether Archive::Load does it, as it does for users who bring no memory of their own.
  bool IsWhole() const { return tensor.empty() && !buffers; }
};

// "A:B", both decimal.
std::string CheckRows(const std::string& text) {
  uint64_t begin = 0;
  uint64_t end = 0;
  char behind = 0;
  const int got = std::sscanf(text.c_str(), "%20lu:%20lu%c", &begin, &end, &behind);
  return got == 2 && begin <= end ? "" : "must be FIRST:END, as 0:128";
}

// What a run loads, and where to.
struct Load {
  std::vector<ReadRequest> requests;
  std::vector<size_t> variant_of;  // By request, of those named.
  FreshMemory memory;
  LoadedTensors loaded;
};

Status LoadWhole(const Archive& archive, const LoadArguments& arguments, Load* load) {
  std::vector<size_t> variants;
  for (const std::string& name : arguments.variants) {
    const auto v = archive.FindVariant(name);
    if (!v.ok()) return v.status();
    load->variant_of.resize(load->variant_of.size() + archive.variant(*v).tensor_count,
                            variants.size());
    variants.push_back(*v);
  }
  auto loaded = archive.Load(variants, arguments.measure.threads, {}, arguments.limits.max_bytes);
  if (!loaded.ok()) return loaded.status();
  load->loaded = std::move(*loaded);
  return {};
}

Status AddRequests(const Archive& archive, const LoadArguments& arguments, size_t named,
                   Load* load) {
  const auto v = archive.FindVariant(arguments.variants[named]);
  if (!v.ok()) return v.status();
  if (arguments.tensor.empty()) {
    const VariantInfo variant = archive.variant(*v);
    for (size_t t = 0; t < variant.tensor_count; ++t) {
      load->requests.push_back({variant.first_tensor + t, {}});
    }
  } else {
    const auto tensor = archive.FindTensor(*v, arguments.tensor);
    if (!tensor.ok()) return tensor.status();
    load->requests.push_back({*tensor, {}, arguments.row_begin, arguments.row_end});
  }
  load->variant_of.resize(load->requests.size(), named);
  return {};
}

// Gives every tensor a place of its own, aligned as vector instructions like it.
Status Allocate(const Archive& archive, const LoadArguments& arguments, Load* load) {
  constexpr uint64_t kAlignment = 64;
  std::vector<std::pair<uint64_t, uint64_t>> places;
  uint64_t end = 0;
  uint64_t content = 0;
  for (const ReadRequest& request : load->requests) {
    const auto size = archive.RowsByteSize(request.tensor, request.row_begin, request.row_end);
    if (!size.ok()) return size.status();
    places.emplace_back(end, *size);
    end += (*size + kAlignment - 1) / kAlignment * kAlignment;
    content += *size;
  }
  if (content > arguments.limits.max_bytes) {
    return LimitExceeded("the tensors have " + std::to_string(content) + " bytes (--max-bytes)");
  }
  const Status allocated = load->memory.Allocate(end, arguments.measure.huge_pages);
  if (!allocated.ok()) return allocated;
  for (size_t r = 0; r < places.size(); ++r) {
    load->requests[r].out = load->memory.bytes().subspan(places[r].first, places[r].second);
  }
  return {};
}

Status LoadIntoBuffers(const Archive& archive, const LoadArguments& arguments, Load* load) {
  for (size_t named = 0; named < arguments.variants.size(); ++named) {
    const Status status = AddRequests(archive, arguments, named, load);
    if (!status.ok()) return status;
  }
  const Status status = Allocate(archive, arguments, load);
  if (!status.ok()) return status;
  return archive.Read(load->requests, arguments.measure.threads);
}

// The directory or file that `--compare` gives for a variant; empty when none.
std::string OriginalOf(const LoadArguments& arguments, const std::string& variant) {
  for (const std::string& original : arguments.originals) {
    if (original.starts_with(variant + "=")) return original.substr(variant.size() + 1);
    if (arguments.variants.size() == 1) return original;
  }
  return "";
}

Status CheckOriginals(const LoadArguments& arguments) {
  for (const std::string& original : arguments.originals) {
    const auto names = [&](const std::string& v) { return original.starts_with(v + "="); };
    if (arguments.variants.size() > 1 &&
        std::none_of(arguments.variants.begin(), arguments.variants.end(), names)) {
      return InvalidArgument("--compare " + original + ": names none of the variants");
    }
  }
  return {};
}

Status CompareAll(const Archive& archive, const LoadArguments& arguments, const Load& load,
                  uint64_t* compared) {
  std::vector<Originals> originals;
  for (const std::string& variant : arguments.variants) {
    originals.emplace_back(OriginalOf(arguments, variant));
  }
  *compared = 0;
  for (size_t r = 0; r < load.requests.size(); ++r) {
    const ReadRequest& request = load.requests[r];
    const size_t named = load.variant_of[r];
    if (OriginalOf(arguments, arguments.variants[named]).empty()) continue;
    const TensorInfo tensor = archive.tensor(request.tensor);
    const uint64_t rows = tensor.shape.empty() ? 1 : tensor.shape[0];
    const uint64_t begin = rows == 0 ? 0 : tensor.byte_size / rows * request.row_begin;
    const Status status =
        originals[named].Compare(tensor, archive.file(tensor.file).path, begin, request.out);
    if (!status.ok()) return status;
    ++*compared;
  }
  return {};
}

struct LoadTotals {
  uint64_t bytes = 0;
  uint64_t stored_bytes = 0;
  uint64_t read_bytes = 0;
  uint64_t tensors = 0;
  uint64_t compared = 0;
};

Status LoadOnce(const LoadArguments& arguments, TokenBucket* bucket, RunClock* clock,
                LoadTotals* totals) {
  OpenOptions options = arguments.limits.open;
  if (arguments.measure.bandwidth_mib > 0) {
    options.before_read = [bucket](uint64_t bytes) { bucket->Take(bytes); };
  }
  const auto archive = Archive::Open(arguments.archive, options);
  if (!archive.ok()) return archive.status();
  clock->EndStage("open");
  Load load;
  const Status status = arguments.IsWhole() ? LoadWhole(*archive, arguments, &load)
                                            : LoadIntoBuffers(*archive, arguments, &load);
  clock->EndStage("read");
  clock->Stop();
  if (!status.ok()) return status;
  for (size_t i = 0; i < load.loaded.size(); ++i) {
    load.requests.push_back({load.loaded.tensor(i), load.loaded.content(i)});
  }
  *totals = {0, archive->stored_bytes(), archive->bytes_read(), load.requests.size(), 0};
  for (const ReadRequest& request : load.requests) totals->bytes += request.out.size();
  return CompareAll(*archive, arguments, load, &totals->compared);
}

void PrintLoad(const LoadArguments& arguments, const Measurement& measurement,
               const LoadTotals& totals) {
  if (!arguments.measure.json) {
    std::string what = "load";
    for (const std::string& variant : arguments.variants) what += " " + variant;
    return measurement.Print(what, totals.bytes, totals.stored_bytes);
  }
  JsonWriter document;
  document.BeginObject();
  document.Add("operation", "load");
  document.Add("variants", arguments.variants);
  if (!arguments.tensor.empty()) document.Add("tensor", arguments.tensor);
  if (!arguments.rows.empty()) document.Add("rows", arguments.rows);
  measurement.AddTo(&document);
  document.Add("bytes", totals.bytes);
  document.Add("stored_bytes", totals.stored_bytes);
  document.Add("read_bytes", totals.read_bytes);
  document.Add("tensors", totals.tensors);
  document.Add("compared_tensors", totals.compared);
  document.End();
  PrintJson(document);
}

int RunLoad(LoadArguments& arguments) {
  if (!arguments.rows.empty()) {
    std::sscanf(arguments.rows.c_str(), "%20lu:%20lu", &arguments.row_begin, &arguments.row_end);
  }
  if (const Status status = CheckOriginals(arguments); !status.ok()) return Report(status);
  arguments.measure.huge_pages |= arguments.IsWhole();
  const std::filesystem::path archive = arguments.archive;
  Measurement measurement(arguments.measure);
  LoadTotals totals;
  const Status status = measurement.Repeat({&archive, 1}, [&](RunClock* clock) {
    return LoadOnce(arguments, &measurement.bucket(), clock, &totals);
  });
  if (!status.ok()) return Report(status);
  PrintLoad(arguments, measurement, totals);
  return kExitDone;
}

}  // namespace

void AddBenchLoad(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<LoadArguments>();
  command->add_option("archive", arguments->archive, "Archive to read")->required();
  command->add_option("variants", arguments->variants, "Variant to load; several load together")
      ->required()
      ->type_name("NAME");
  CLI::Option* tensor = command->add_option("--tensor", arguments->tensor, "Load only this tensor")
                            ->type_name("NAME");
  command->add_option("--rows", arguments->rows, "Load only these rows of it, such as 0:128")
      ->needs(tensor)
      ->check(CLI::Validator(CheckRows, ""))
      ->type_name("FIRST:END");
  command->add_flag("--buffers", arguments->buffers,
                    "Load into buffers of ordinary pages, as a caller with its own memory does");
  command
      ->add_option("--compare", arguments->originals,
                   "After each run, compare the tensors with the model they came from")
      ->type_name("[NAME=]PATH");
  arguments->limits.AddOptions(command, "the tensors loaded");
  AddRunOptions(command, &arguments->measure);
  AddReadOptions(command, &arguments->measure);
  command->callback([=] { *exit_code = RunLoad(*arguments); });
}

}  // namespace qstore::cli
