// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "commands.h"
#include "open_archive.h"
#include "qstore/archive.h"
#include "terminal.h"
#include "values.h"

namespace qstore::cli {
namespace {

struct LsArguments {
  std::string archive;
  std::string variant;
  ReadLimits limits;
  bool is_long = false;
  bool tensors = false;
  bool json = false;
};

std::string ShapeOf(const TensorInfo& tensor) {
  std::string text = "[";
  for (const uint64_t size : tensor.shape) {
    if (text.size() > 1) text += ',';
    text += std::to_string(size);
  }
  return text + "]";
}

/// What of each thing is told: as a line of text, or an object of JSON.
struct Lister {
  bool is_long = false;
  JsonWriter* json = nullptr;  // Null for text.

  // `name` is what is shown alone, `details` what comes before it in the long form.
  void Show(std::string_view name, const std::string& details) const {
    const std::string line = (is_long ? details + "  " : "") + Printable(name) + "\n";
    std::fwrite(line.data(), 1, line.size(), stdout);
  }

  void Add(const VariantInfo& variant) const {
    if (json == nullptr) {
      Show(variant.name, Padded(std::to_string(variant.source_bytes), 15) +
                             Padded(std::to_string(variant.file_count), 8) + " files" +
                             Padded(std::to_string(variant.tensor_count), 8) + " tensors");
      return;
    }
    json->BeginObject();
    json->Add("name", variant.name);
    json->Add("bytes", variant.source_bytes);
    json->Add("files", variant.file_count);
    json->Add("tensors", variant.tensor_count);
    json->End();
  }

  void Add(const FileInfo& file) const {
    if (json == nullptr) {
      Show(std::string(file.path) + (file.is_directory ? "/" : ""),
           Padded(std::to_string(file.size), 15));
      return;
    }
    json->BeginObject();
    json->Add("path", file.path);
    json->Add("bytes", file.size);
    json->Add("container", file.container);
    json->Add("directory", file.is_directory);
    json->Add("executable", file.is_executable);
    json->End();
  }

  void Add(const TensorInfo& tensor, const FileInfo& file) const {
    if (json == nullptr) {
      Show(tensor.name, Padded(std::to_string(tensor.byte_size), 15) +
                            Padded(std::string(DTypeName(tensor.dtype)), 9) +
                            Padded(ShapeOf(tensor), 20));
      return;
    }
    json->BeginObject();
    json->Add("name", tensor.name);
    json->Add("file", file.path);
    json->Add("dtype", DTypeName(tensor.dtype));
    json->Add("shape", std::vector<uint64_t>(tensor.shape.begin(), tensor.shape.end()));
    json->Add("bytes", tensor.byte_size);
    json->End();
  }

 private:
  static std::string Padded(const std::string& text, size_t width) {
    return std::string(text.size() < width ? width - text.size() : 1, ' ') + text;
  }
};

Status CheckTextSize(const Lister& lister, const LsArguments& arguments) {
  if (lister.json == nullptr || lister.json->text().size() <= arguments.limits.open.max_memory) {
    return {};
  }
  return LimitExceeded("the list takes more than the " +
                       std::to_string(arguments.limits.open.max_memory) +
                       " bytes of memory allowed (--max-memory)");
}

Status List(const Archive& archive, const VariantInfo& variant, const LsArguments& arguments,
            const Lister& lister) {
  if (arguments.variant.empty()) {
    for (size_t v = 0; v < archive.variant_count(); ++v) lister.Add(archive.variant(v));
    return {};
  }
  const size_t count = arguments.tensors ? variant.tensor_count : variant.file_count;
  for (size_t i = 0; i < count; ++i) {
    if (arguments.tensors) {
      const TensorInfo tensor = archive.tensor(variant.first_tensor + i);
      lister.Add(tensor, archive.file(tensor.file));
    } else {
      lister.Add(archive.file(variant.first_file + i));
    }
    if (const Status fits = CheckTextSize(lister, arguments); !fits.ok()) return fits;
  }
  return {};
}

int RunLs(const LsArguments& arguments) {
  const auto archive = OpenArchive(arguments.archive, arguments.limits.open);
  if (!archive.ok()) return Report(archive.status());
  VariantInfo variant;
  if (!arguments.variant.empty()) {
    const auto found = archive->FindVariant(arguments.variant);
    if (!found.ok()) return Report(found.status());
    variant = archive->variant(*found);
  } else if (arguments.tensors) {
    return Report(InvalidArgument("--tensors lists those of one variant: name it"));
  }
  JsonWriter document;
  const Lister lister{arguments.is_long, arguments.json ? &document : nullptr};
  if (arguments.json) document.BeginArray();
  const Status listed = List(*archive, variant, arguments, lister);
  if (!listed.ok()) return Report(listed);
  if (arguments.json) {
    document.End();
    PrintJson(document);
  }
  return kExitDone;
}

}  // namespace

void AddLsCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<LsArguments>();
  command->add_option("archive", arguments->archive, "Archive to read: a path or a URL")
      ->required();
  command->add_option("variant", arguments->variant, "Variant whose files to list")
      ->type_name("NAME");
  command->add_flag("-l,--long", arguments->is_long, "Show sizes in bytes too");
  command->add_flag("--tensors", arguments->tensors, "List tensors, not files");
  arguments->limits.AddOptions(command, "");
  AddJson(command, &arguments->json);
  command->callback([=] { *exit_code = RunLs(*arguments); });
}

}  // namespace qstore::cli
