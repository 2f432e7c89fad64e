// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "diff_side.h"
#include "terminal.h"
#include "values.h"

namespace qstore::cli {
namespace {

struct DiffArguments {
  std::string first;
  std::string second;
  ReadLimits limits;
  bool json = false;
};

/// Something that is not the same on both sides.
struct Difference {
  const char* what = "";  // "variant", "file" or "tensor".
  std::string variant;    // Where archives are compared variant by variant.
  std::string name;
  std::string how;         // "only-in-a", "only-in-b", "size", "type", "shape", "content".
  std::string first = {};  // What it is there, where that is short.
  std::string second = {};
  std::optional<uint64_t> offset = {};  // Of the first byte that differs.
};

struct DiffReport {
  std::vector<Difference> differences;
  uint64_t variants = 0;
  uint64_t files = 0;
  uint64_t tensors = 0;
  uint64_t read_bytes = 0;
};

// Compares by pieces, so that memory does not grow with the model.
class Differ {
 public:
  explicit Differ(DiffReport* report) : report_(report) {}

  Status Compare(const DiffModel& a, const DiffModel& b, const std::string& variant) {
    variant_ = variant;
    ++report_->variants;
    std::set<std::string> equal;
    const Status files =
        ForBoth(a.files, b.files, "file",
                [&](const std::string& name, const DiffFile& x, const DiffFile& y) {
                  return CompareFiles(name, x, y, &equal);
                });
    if (!files.ok()) return files;
    return ForBoth(a.tensors, b.tensors, "tensor",
                   [&](const std::string& name, const DiffTensor& x, const DiffTensor& y) {
                     const bool same = x.file == y.file && equal.count(x.file) > 0;
                     return same ? Count() : CompareTensors(name, x, y);
                   });
  }

 private:
  template <class Map, class Use>
  Status ForBoth(const Map& a, const Map& b, const char* what, const Use& use) {
    for (const auto& [name, value] : a) {
      const auto other = b.find(name);
      if (other == b.end()) {
        report_->differences.push_back({what, variant_, name, "only-in-a"});
        continue;
      }
      if (const Status status = use(name, value, other->second); !status.ok()) return status;
    }
    for (const auto& [name, value] : b) {
      if (a.count(name) == 0) report_->differences.push_back({what, variant_, name, "only-in-b"});
    }
    return {};
  }

  Status Count() {
    ++report_->tensors;
    return {};
  }

  Status CompareFiles(const std::string& name, const DiffFile& a, const DiffFile& b,
                      std::set<std::string>* equal) {
    ++report_->files;
    if (a.bytes.size != b.bytes.size) {
      report_->differences.push_back({"file", variant_, name, "size", std::to_string(a.bytes.size),
                                      std::to_string(b.bytes.size)});
      return {};
    }
    if (a.digest && b.digest && *a.digest == *b.digest) {
      equal->insert(name);
      return {};
    }
    const auto offset = FirstDifference(a.bytes, b.bytes);
    if (!offset.ok()) return offset.status();
    if (*offset < a.bytes.size) {
      report_->differences.push_back({"file", variant_, name, "content", "", "", *offset});
    } else {
      equal->insert(name);
    }
    return {};
  }

  Status CompareTensors(const std::string& name, const DiffTensor& a, const DiffTensor& b) {
    ++report_->tensors;
    if (a.dtype != b.dtype) {
      report_->differences.push_back({"tensor", variant_, name, "type",
                                      std::string(DTypeName(a.dtype)),
                                      std::string(DTypeName(b.dtype))});
      return {};
    }
    if (a.shape != b.shape) {
      report_->differences.push_back(
          {"tensor", variant_, name, "shape", ShapeText(a.shape), ShapeText(b.shape)});
      return {};
    }
    const auto x = a.open();
    if (!x.ok()) return x.status();
    const auto y = b.open();
    if (!y.ok()) return y.status();
    const auto offset = FirstDifference(*x, *y);
    if (!offset.ok()) return offset.status();
    if (*offset < x->size) {
      report_->differences.push_back({"tensor", variant_, name, "content", "", "", *offset});
    }
    return {};
  }

  static std::string ShapeText(const std::vector<uint64_t>& shape) {
    std::string text;
    for (const uint64_t size : shape)
      text.append(text.empty() ? "" : ",").append(std::to_string(size));
    return "[" + text + "]";
  }

  // The size where there is none. REQUIRES: equal sizes.
  Result<uint64_t> FirstDifference(const DiffBytes& a, const DiffBytes& b) {
    for (uint64_t at = 0; at < a.size; at += kPiece) {
      if (StopRequested()) return Cancelled();
      const uint64_t size = std::min(kPiece, a.size - at);
      first_.resize(size);
      second_.resize(size);
      Status status = a.read(at, first_);
      if (status.ok()) status = b.read(at, second_);
      if (!status.ok()) return status;
      report_->read_bytes += 2 * size;
      const auto [x, y] = std::mismatch(first_.begin(), first_.end(), second_.begin());
      if (x != first_.end()) return at + static_cast<uint64_t>(x - first_.begin());
    }
    return a.size;
  }

  static constexpr uint64_t kPiece = uint64_t{8} << 20;
  DiffReport* report_;
  std::string variant_;
  std::vector<std::byte> first_;
  std::vector<std::byte> second_;
};

Status CompareVariants(const DiffSide& a, const DiffSide& b, DiffReport* report) {
  const std::vector<std::string> first = a.variants();
  const std::vector<std::string> second = b.variants();
  const auto has = [](const auto& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  Differ differ(report);
  for (const std::string& name : first) {
    if (!has(second, name)) {
      report->differences.push_back({"variant", "", name, "only-in-a"});
      continue;
    }
    const auto x = a.Model(name);
    if (!x.ok()) return x.status();
    const auto y = b.Model(name);
    if (!y.ok()) return y.status();
    if (const Status status = differ.Compare(*x, *y, name); !status.ok()) return status;
  }
  for (const std::string& name : second) {
    if (!has(first, name)) report->differences.push_back({"variant", "", name, "only-in-b"});
  }
  return {};
}

Status CompareOne(const DiffSide& a, const DiffSide& b, DiffReport* report) {
  auto x = a.Model();
  if (!x.ok()) return x.status();
  auto y = b.Model();
  if (!y.ok()) return y.status();
  // Two files are compared whatever their names.
  if (x->files.size() == 1 && y->files.size() == 1) {
    auto file = y->files.extract(y->files.begin());
    const std::string old = file.key();
    file.key() = x->files.begin()->first;
    for (auto& [name, tensor] : y->tensors) {
      if (tensor.file == old) tensor.file = file.key();
    }
    y->files.insert(std::move(file));
  }
  return Differ(report).Compare(*x, *y, "");
}

void PrintDifference(const Difference& difference, const DiffArguments& arguments) {
  std::string line = difference.variant.empty() ? "" : difference.variant + ": ";
  const bool is_first = difference.how == "only-in-a";
  const std::string what = std::string(difference.what) + " '" + difference.name + "'";
  if (is_first || difference.how == "only-in-b") {
    line += what + " is only in " + (is_first ? arguments.first : arguments.second);
  } else if (difference.offset) {
    line += what + " differs from byte " + std::to_string(*difference.offset) + " on";
  } else {
    line += what + " differs in " + difference.how + ": " + difference.first + " and " +
            difference.second;
  }
  std::printf("%s\n", Printable(line).c_str());
}

void PrintDiffDocument(const DiffReport& report, double seconds) {
  JsonWriter document;
  document.BeginObject();
  document.Add("equal", report.differences.empty());
  document.BeginArray("differences");
  for (const Difference& each : report.differences) {
    document.BeginObject();
    document.Add("what", each.what);
    document.Add("variant", each.variant);
    document.Add("name", each.name);
    document.Add("how", each.how);
    if (!each.first.empty()) document.Add("a", each.first);
    if (!each.second.empty()) document.Add("b", each.second);
    if (each.offset) document.Add("offset", *each.offset);
    document.End();
  }
  document.End();
  document.Add("variants", report.variants);
  document.Add("files", report.files);
  document.Add("tensors", report.tensors);
  document.Add("read_bytes", report.read_bytes);
  document.Add("seconds", seconds);
  document.End();
  PrintJson(document);
}

int RunDiff(const DiffArguments& arguments) {
  const auto a = DiffSide::Open(arguments.first, arguments.limits.open);
  if (!a.ok()) return Report(a.status());
  const auto b = DiffSide::Open(arguments.second, arguments.limits.open);
  if (!b.ok()) return Report(b.status());
  const ProgressLine line("comparing");
  DiffReport report;
  const auto compare = a->is_one() || b->is_one() ? CompareOne : CompareVariants;
  if (const Status status = compare(*a, *b, &report); !status.ok()) return Report(status);
  const size_t count = report.differences.size();
  if (arguments.json) {
    PrintDiffDocument(report, line.seconds());
  } else {
    for (const Difference& each : report.differences) PrintDifference(each, arguments);
    std::fprintf(stderr, "%llu files and %llu tensors compared, %zu difference%s, %.2f s\n",
                 static_cast<unsigned long long>(report.files),
                 static_cast<unsigned long long>(report.tensors), count, count == 1 ? "" : "s",
                 line.seconds());
  }
  return count == 0 ? kExitDone : kExitCorrupt;
}

}  // namespace

void AddDiffCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<DiffArguments>();
  command->add_option("a", arguments->first, "Archive, ARCHIVE:VARIANT, model directory or file")
      ->required();
  command->add_option("b", arguments->second, "What to compare it with, in the same forms")
      ->required();
  arguments->limits.AddOptions(command, "");
  AddJson(command, &arguments->json);
  command->footer(
      "Two archives are compared variant by variant. A side that is one model is compared with one "
      "variant of the other, which :VARIANT names.\n"
      "Tensors are found by name, so that models with other shards can have equal tensors. Empty "
      "folders and permissions are not compared.\n"
      "The exit code is 0 when all is equal and 3 when something differs.");
  command->callback([=] { *exit_code = RunDiff(*arguments); });
}

}  // namespace qstore::cli
