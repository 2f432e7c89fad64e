// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <memory>

#include "commands.h"
#include "qstore/archive.h"
#include "terminal.h"

namespace qstore::cli {
namespace {

using Json = nlohmann::ordered_json;

uint64_t Elements(const TensorInfo& tensor) {
  return tensor.byte_size * 8 / DTypeBits(tensor.dtype);
}

double BitsPerWeight(uint64_t bytes, uint64_t weights) {
  return weights == 0 ? 0 : 8 * static_cast<double>(bytes) / static_cast<double>(weights);
}

uint64_t Weights(const Archive& archive, const VariantInfo& variant) {
  uint64_t weights = 0;
  for (size_t t = 0; t < variant.tensor_count; ++t) {
    weights += Elements(archive.tensor(variant.first_tensor + t));
  }
  return weights;
}

// A tensor in another variant as "variant/name".
Json Reference(const Archive& archive, const std::optional<size_t>& tensor) {
  if (!tensor) return nullptr;
  const TensorInfo info = archive.tensor(*tensor);
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const VariantInfo variant = archive.variant(v);
    if (*tensor >= variant.first_tensor && *tensor < variant.first_tensor + variant.tensor_count) {
      return {{"variant", variant.name}, {"tensor", info.name}};
    }
  }
  return nullptr;
}

Json References(const Archive& archive, const std::vector<size_t>& tensors) {
  Json list = Json::array();
  for (const size_t tensor : tensors) list.push_back(Reference(archive, tensor));
  return list;
}

// Memory of a tensor's document, more or less, but for names.
constexpr uint64_t kDocumentBytes = 2048;

uint64_t NameBytes(const Archive& archive, const TensorCoding& coding) {
  uint64_t bytes = 0;
  for (const size_t parent : coding.parents) bytes += archive.tensor(parent).name.size();
  if (coding.same_as) bytes += archive.tensor(*coding.same_as).name.size();
  return bytes;
}

Status CheckMemory(uint64_t bytes, const ReadLimits& limits) {
  if (bytes <= limits.open.max_memory) return {};
  return LimitExceeded("a list of so many tensors takes more than the " +
                       std::to_string(limits.open.max_memory) +
                       " bytes of memory allowed (--max-memory)");
}

Result<Json> TensorDocuments(const Archive& archive, size_t v, const ReadLimits& limits,
                             uint64_t* memory) {
  const VariantInfo variant = archive.variant(v);
  const auto made = archive.CodingsOf(v);
  if (!made.ok()) return made.status();
  const std::vector<TensorCoding>& codings = *made;
  Json documents = Json::array();
  for (size_t t = 0; t < variant.tensor_count; ++t) {
    const TensorInfo tensor = archive.tensor(variant.first_tensor + t);
    const TensorCoding& coding = codings[t];
    *memory += kDocumentBytes + tensor.name.size() + archive.file(tensor.file).path.size() +
               NameBytes(archive, coding);
    if (const Status fits = CheckMemory(*memory, limits); !fits.ok()) return fits;
    documents.push_back({{"name", tensor.name},
                         {"file", archive.file(tensor.file).path},
                         {"dtype", DTypeName(tensor.dtype)},
                         {"shape", std::vector<uint64_t>(tensor.shape.begin(), tensor.shape.end())},
                         {"bytes", tensor.byte_size},
                         {"stored_bytes", coding.stored_bytes},
                         {"bits_per_weight", BitsPerWeight(coding.stored_bytes, Elements(tensor))},
                         {"scheme", coding.scheme},
                         {"codecs", coding.codecs},
                         {"parents", References(archive, coding.parents)},
                         {"same_as", Reference(archive, coding.same_as)}});
  }
  return documents;
}

Result<Json> Document(const Archive& archive, bool with_tensors, const ReadLimits& limits) {
  uint64_t memory = 0;
  uint64_t source_bytes = 0;
  uint64_t most_weights = 0;
  Json variants = Json::array();
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const VariantInfo variant = archive.variant(v);
    const auto measured = archive.SizesOf(v);
    if (!measured.ok()) return measured.status();
    const VariantSizes& sizes = *measured;
    const uint64_t weights = Weights(archive, variant);
    source_bytes += variant.source_bytes;
    most_weights = std::max(most_weights, weights);
    Json document = {{"name", variant.name},
                     {"files", variant.file_count},
                     {"tensors", variant.tensor_count},
                     {"weights", weights},
                     {"source_bytes", variant.source_bytes},
                     {"own_bytes", sizes.own_bytes},
                     {"load_bytes", sizes.load_bytes},
                     {"bits_per_weight", BitsPerWeight(sizes.tensor_stored, weights)}};
    if (with_tensors) {
      auto tensors = TensorDocuments(archive, v, limits, &memory);
      if (!tensors.ok()) return tensors.status();
      document["tensor_list"] = std::move(*tensors);
    }
    variants.push_back(std::move(document));
  }
  return Json{{"archive", archive.path().string()},
              {"format_version", archive.format_version()},
              {"source_bytes", source_bytes},
              {"stored_bytes", archive.stored_bytes()},
              {"bits_per_weight", BitsPerWeight(archive.stored_bytes(), most_weights)},
              {"variants", std::move(variants)}};
}

std::string Text(const Json& value) {
  return Printable(value.is_string() ? value.get<std::string>() : value.dump());
}

void PrintTensors(const Json& tensors) {
  for (const Json& tensor : tensors) {
    std::string codecs;
    for (const Json& codec : tensor["codecs"]) codecs += (codecs.empty() ? "" : ",") + Text(codec);
    std::string origin;
    if (!tensor["same_as"].is_null()) {
      origin = " = " + Text(tensor["same_as"]["variant"]) + "/" + Text(tensor["same_as"]["tensor"]);
    } else if (!tensor["parents"].empty()) {
      const Json& parent = tensor["parents"][0];
      origin = " " + Text(tensor["scheme"]) + " of " + Text(parent["variant"]) + "/" +
               Text(parent["tensor"]);
    }
    std::printf("    %-48s %-8s %-16s %12s %6.2f b/w  %s%s\n", Text(tensor["name"]).c_str(),
                Text(tensor["dtype"]).c_str(), tensor["shape"].dump().c_str(),
                HumanBytes(tensor["stored_bytes"]).c_str(), tensor["bits_per_weight"].get<double>(),
                codecs.c_str(), origin.c_str());
  }
}

void PrintText(const Json& document) {
  std::printf(
      "%s: format %s, %s of files in %s, %.2f bits per weight\n", Text(document["archive"]).c_str(),
      document["format_version"].dump().c_str(), HumanBytes(document["source_bytes"]).c_str(),
      HumanBytes(document["stored_bytes"]).c_str(), document["bits_per_weight"].get<double>());
  for (const Json& variant : document["variants"]) {
    std::printf("  %-16s %s files, %s tensors, %s; stored for it alone %s, a load reads %s\n",
                Text(variant["name"]).c_str(), variant["files"].dump().c_str(),
                variant["tensors"].dump().c_str(), HumanBytes(variant["source_bytes"]).c_str(),
                HumanBytes(variant["own_bytes"]).c_str(),
                HumanBytes(variant["load_bytes"]).c_str());
    if (variant.contains("tensor_list")) PrintTensors(variant["tensor_list"]);
  }
}

struct InspectArguments {
  std::string archive;
  ReadLimits limits;
  bool tensors = false;
  bool json = false;
};

int RunInspect(const InspectArguments& arguments) {
  auto archive = Archive::Open(arguments.archive, arguments.limits.open);
  if (!archive.ok()) return Report(archive.status());
  const auto document = Document(*archive, arguments.tensors, arguments.limits);
  if (!document.ok()) return Report(document.status());
  if (arguments.json) {
    PrintJson(*document);
  } else {
    PrintText(*document);
  }
  return kExitDone;
}

}  // namespace

void AddInspectCommand(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* command = app.add_subcommand("inspect", "Show what an archive holds");
  command->add_option("archive", arguments->archive, "Archive to read")->required();
  arguments->limits.AddOptions(command, "");
  command->add_flag("--tensors", arguments->tensors, "List every tensor and how it is coded");
  command->add_flag("--json", arguments->json, "Print JSON");
  command->callback([=] { *exit_code = RunInspect(*arguments); });
}

}  // namespace qstore::cli
