// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>

#include "commands.h"
#include "open_archive.h"
#include "qstore/archive.h"
#include "terminal.h"
#include "values.h"

namespace qstore::cli {
namespace {

uint64_t Elements(const TensorInfo& tensor) {
  return tensor.byte_size * 8 / DTypeBits(tensor.dtype) * DTypeBlock(tensor.dtype);
}

double BitsPerWeight(uint64_t bytes, uint64_t weights) {
  return weights == 0 ? 0 : 8 * static_cast<double>(bytes) / static_cast<double>(weights);
}

struct InspectArguments {
  std::string archive;
  ReadLimits limits;
  bool files = false;
  bool tensors = false;
  bool json = false;
};

struct VariantSummary {
  VariantInfo info;
  VariantSizes sizes;
  uint64_t weights = 0;
};

struct Summary {
  std::vector<VariantSummary> variants;
  uint64_t source_bytes = 0;
  uint64_t most_weights = 0;
};

Result<Summary> Summarize(const Archive& archive) {
  Summary summary;
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const VariantInfo info = archive.variant(v);
    const auto sizes = archive.SizesOf(v);
    if (!sizes.ok()) return sizes.status();
    uint64_t weights = 0;
    for (size_t t = 0; t < info.tensor_count; ++t) {
      weights += Elements(archive.tensor(info.first_tensor + t));
    }
    summary.source_bytes += info.source_bytes;
    summary.most_weights = std::max(summary.most_weights, weights);
    summary.variants.push_back({info, *sizes, weights});
  }
  return summary;
}

double BitsPerWeight(const Archive& archive, const Summary& summary) {
  return BitsPerWeight(archive.stored_bytes(), summary.most_weights);
}

std::string Hex(std::span<const std::byte> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[static_cast<unsigned>(byte) >> 4];
    text += kDigits[static_cast<unsigned>(byte) & 15];
  }
  return text;
}

// The name of the variant that a tensor belongs to.
std::string_view VariantOf(const Archive& archive, size_t tensor) {
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const VariantInfo variant = archive.variant(v);
    if (tensor >= variant.first_tensor && tensor < variant.first_tensor + variant.tensor_count) {
      return variant.name;
    }
  }
  return {};
}

// Memory of what is printed about a tensor, more or less, but for names.
constexpr uint64_t kPrintedBytes = 2048;

uint64_t NameBytes(const Archive& archive, const TensorCoding& coding) {
  uint64_t bytes = 2 * coding.params.size();
  for (const size_t parent : coding.parents) bytes += archive.tensor(parent).name.size();
  if (coding.same_as) bytes += archive.tensor(*coding.same_as).name.size();
  return bytes;
}

Status CheckMemory(uint64_t bytes, const ReadLimits& limits) {
  if (bytes <= limits.open.max_memory) return {};
  return LimitExceeded("a list of so many files or tensors takes more than the " +
                       std::to_string(limits.open.max_memory) +
                       " bytes of memory allowed (--max-memory)");
}

// Memory of what is printed about a file, more or less, but for its path.
constexpr uint64_t kPrintedFileBytes = 512;

// Calls `use` for each file of a variant, as ForTensors for tensors.
template <class Use>
Status ForFiles(const Archive& archive, size_t v, const ReadLimits& limits, uint64_t* memory,
                const Use& use) {
  const VariantInfo variant = archive.variant(v);
  for (size_t f = 0; f < variant.file_count; ++f) {
    const FileInfo file = archive.file(variant.first_file + f);
    *memory += kPrintedFileBytes + 6 * file.path.size();
    if (Status fits = CheckMemory(*memory, limits); !fits.ok()) return fits;
    use(file);
  }
  return {};
}

void WriteFile(const FileInfo& file, JsonWriter* out) {
  out->BeginObject();
  out->Add("path", file.path);
  out->Add("bytes", file.size);
  out->Add("container", file.container);
  out->Add("directory", file.is_directory);
  out->Add("executable", file.is_executable);
  out->Add("digest", Hex(std::as_bytes(std::span(file.digest))));
  if (file.sha256) {
    out->Add("sha256", Hex(std::as_bytes(std::span(*file.sha256))));
  } else {
    out->Add("sha256", nullptr);
  }
  out->End();
}

using UseTensor = std::function<void(const TensorInfo& tensor, const TensorCoding& coding)>;

// Calls `use` for each tensor of a variant. `memory` adds up what is printed about all of them.
Status ForTensors(const Archive& archive, size_t v, const ReadLimits& limits, uint64_t* memory,
                  const UseTensor& use) {
  const size_t first = archive.variant(v).first_tensor;
  const auto codings = archive.CodingsOf(v);
  if (!codings.ok()) return codings.status();
  for (size_t t = 0; t < codings->size(); ++t) {
    const TensorInfo tensor = archive.tensor(first + t);
    const TensorCoding& coding = (*codings)[t];
    *memory += kPrintedBytes + tensor.name.size() + archive.file(tensor.file).path.size() +
               NameBytes(archive, coding);
    if (Status fits = CheckMemory(*memory, limits); !fits.ok()) return fits;
    use(tensor, coding);
  }
  return {};
}

// As an element of an array when `name` is empty.
void WriteReference(const Archive& archive, std::string_view name, size_t tensor, JsonWriter* out) {
  out->BeginObject(name);
  out->Add("variant", VariantOf(archive, tensor));
  out->Add("tensor", archive.tensor(tensor).name);
  out->End();
}

void WriteTensor(const Archive& archive, const TensorInfo& tensor, const TensorCoding& coding,
                 JsonWriter* out) {
  out->BeginObject();
  out->Add("name", tensor.name);
  out->Add("file", archive.file(tensor.file).path);
  out->Add("dtype", DTypeName(tensor.dtype));
  out->Add("shape", std::vector<uint64_t>(tensor.shape.begin(), tensor.shape.end()));
  out->Add("bytes", tensor.byte_size);
  out->Add("stored_bytes", coding.stored_bytes);
  out->Add("bits_per_weight", BitsPerWeight(coding.stored_bytes, Elements(tensor)));
  out->Add("scheme", coding.scheme);
  out->Add("params", Hex(coding.params));
  out->Add("codecs", coding.codecs);
  out->BeginArray("parents");
  for (const size_t parent : coding.parents) WriteReference(archive, {}, parent, out);
  out->End();
  if (coding.same_as) {
    WriteReference(archive, "same_as", *coding.same_as, out);
  } else {
    out->Add("same_as", nullptr);
  }
  out->End();
}

Status PrintDocument(const Archive& archive, const Summary& summary,
                     const InspectArguments& arguments) {
  uint64_t memory = 0;
  JsonWriter out;
  out.BeginObject();
  out.Add("archive", archive.path().string());
  out.Add("format_version", archive.format_version());
  out.Add("source_bytes", summary.source_bytes);
  out.Add("stored_bytes", archive.stored_bytes());
  out.Add("dead_bytes", archive.dead_bytes());
  out.Add("bits_per_weight", BitsPerWeight(archive, summary));
  out.BeginArray("variants");
  for (size_t v = 0; v < summary.variants.size(); ++v) {
    const VariantSummary& variant = summary.variants[v];
    out.BeginObject();
    out.Add("name", variant.info.name);
    out.Add("files", variant.info.file_count);
    out.Add("tensors", variant.info.tensor_count);
    out.Add("weights", variant.weights);
    out.Add("source_bytes", variant.info.source_bytes);
    out.Add("own_bytes", variant.sizes.own_bytes);
    out.Add("load_bytes", variant.sizes.load_bytes);
    out.Add("bits_per_weight", BitsPerWeight(variant.sizes.tensor_stored, variant.weights));
    if (arguments.files) {
      out.BeginArray("file_list");
      const Status listed = ForFiles(archive, v, arguments.limits, &memory,
                                     [&](const FileInfo& file) { WriteFile(file, &out); });
      if (!listed.ok()) return listed;
      out.End();
    }
    if (arguments.tensors) {
      out.BeginArray("tensor_list");
      const Status listed = ForTensors(archive, v, arguments.limits, &memory,
                                       [&](const auto& tensor, const auto& coding) {
                                         WriteTensor(archive, tensor, coding, &out);
                                       });
      if (!listed.ok()) return listed;
      out.End();
    }
    out.End();
  }
  out.End();
  out.End();
  PrintJson(out);
  return {};
}

__attribute__((format(printf, 2, 3))) void Append(std::string* text, const char* format, ...) {
  va_list arguments;
  va_list again;
  va_start(arguments, format);
  va_copy(again, arguments);
  const size_t begin = text->size();
  const auto size = static_cast<size_t>(std::vsnprintf(nullptr, 0, format, arguments));
  text->resize(begin + size + 1);
  std::vsnprintf(text->data() + begin, size + 1, format, again);
  text->pop_back();
  va_end(again);
  va_end(arguments);
}

std::string Joined(const auto& values) {
  std::string text;
  for (const auto& value : values) {
    if (!text.empty()) text += ',';
    if constexpr (std::is_integral_v<std::decay_t<decltype(value)>>) {
      text += std::to_string(value);
    } else {
      text += value;
    }
  }
  return text;
}

void AppendTensor(const Archive& archive, const TensorInfo& tensor, const TensorCoding& coding,
                  std::string* text) {
  const auto named = [&](size_t other) {
    return Printable(VariantOf(archive, other)) + "/" + Printable(archive.tensor(other).name);
  };
  std::string origin;
  if (coding.same_as) {
    origin = " = " + named(*coding.same_as);
  } else if (!coding.parents.empty()) {
    origin = " " + std::string(coding.scheme) + " of " + named(coding.parents.front());
  }
  Append(text, "    %-48s %-8s %-16s %12s %6.2f b/w  %s%s\n", Printable(tensor.name).c_str(),
         std::string(DTypeName(tensor.dtype)).c_str(), ("[" + Joined(tensor.shape) + "]").c_str(),
         HumanBytes(coding.stored_bytes).c_str(),
         BitsPerWeight(coding.stored_bytes, Elements(tensor)), Joined(coding.codecs).c_str(),
         origin.c_str());
}

void AppendFile(const FileInfo& file, std::string* text) {
  const std::string digest = file.sha256 ? "sha256 " + Hex(std::as_bytes(std::span(*file.sha256)))
                                         : "xxh3 " + Hex(std::as_bytes(std::span(file.digest)));
  Append(text, "    %-48s %12s  %s\n", Printable(file.path).c_str(), HumanBytes(file.size).c_str(),
         file.is_directory ? "directory" : digest.c_str());
}

Status PrintText(const Archive& archive, const Summary& summary,
                 const InspectArguments& arguments) {
  uint64_t memory = 0;
  std::string text;
  Append(&text, "%s: format %u, %s of files in %s, %.2f bits per weight\n",
         Printable(archive.path().string()).c_str(), unsigned{archive.format_version()},
         HumanBytes(summary.source_bytes).c_str(), HumanBytes(archive.stored_bytes()).c_str(),
         BitsPerWeight(archive, summary));
  if (archive.dead_bytes() > 0) {
    Append(&text, "  %s of it are dead: 'qstore compact' frees them\n",
           HumanBytes(archive.dead_bytes()).c_str());
  }
  for (size_t v = 0; v < summary.variants.size(); ++v) {
    const VariantSummary& variant = summary.variants[v];
    Append(&text, "  %-16s %zu files, %zu tensors, %s; adds %s; loading reads %s\n",
           Printable(variant.info.name).c_str(), variant.info.file_count, variant.info.tensor_count,
           HumanBytes(variant.info.source_bytes).c_str(),
           HumanBytes(variant.sizes.own_bytes).c_str(),
           HumanBytes(variant.sizes.load_bytes).c_str());
    if (arguments.files) {
      const Status listed = ForFiles(archive, v, arguments.limits, &memory,
                                     [&](const FileInfo& file) { AppendFile(file, &text); });
      if (!listed.ok()) return listed;
    }
    if (!arguments.tensors) continue;
    const Status listed = ForTensors(archive, v, arguments.limits, &memory,
                                     [&](const auto& tensor, const auto& coding) {
                                       AppendTensor(archive, tensor, coding, &text);
                                     });
    if (!listed.ok()) return listed;
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  return {};
}

int RunInspect(const InspectArguments& arguments) {
  auto archive = OpenArchive(arguments.archive, arguments.limits.open);
  if (!archive.ok()) return Report(archive.status());
  const auto summary = Summarize(*archive);
  if (!summary.ok()) return Report(summary.status());
  const Status printed = arguments.json ? PrintDocument(*archive, *summary, arguments)
                                        : PrintText(*archive, *summary, arguments);
  return printed.ok() ? kExitDone : Report(printed);
}

}  // namespace

void AddInspectCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<InspectArguments>();
  command->add_option("archive", arguments->archive, "Archive to read: a path or a URL")
      ->required();
  arguments->limits.AddOptions(command, "");
  command->add_flag("--files", arguments->files, "List every file with its digest");
  command->add_flag("--tensors", arguments->tensors, "List every tensor and how it is coded");
  AddJson(command, &arguments->json);
  command->callback([=] { *exit_code = RunInspect(*arguments); });
}

}  // namespace qstore::cli
