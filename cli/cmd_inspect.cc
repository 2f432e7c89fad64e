// SPDX-License-Identifier: Apache-2.0
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <span>
#include <type_traits>

#include "archive_document.h"
#include "archive_summary.h"
#include "commands.h"
#include "draw.h"
#include "open_archive.h"
#include "qstore/archive.h"
#include "terminal.h"
#include "values.h"

namespace qstore::cli {
namespace {

struct InspectArguments {
  std::string archive;
  ReadLimits limits;
  DocumentParts parts;
  bool json = false;
  std::string html;
};

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
         BitsPerWeight(coding.stored_bytes, WeightsOf(tensor)), Joined(coding.codecs).c_str(),
         origin.c_str());
}

void AppendFile(const FileInfo& file, std::string* text) {
  const std::string digest = file.sha256 ? "sha256 " + Hex(std::as_bytes(std::span(*file.sha256)))
                                         : "xxh3 " + Hex(std::as_bytes(std::span(file.digest)));
  Append(text, "    %-48s %12s  %s\n", Printable(file.path).c_str(), HumanBytes(file.size).c_str(),
         file.is_directory ? "directory" : digest.c_str());
}

Status PrintText(const Archive& archive, const ArchiveSummary& summary,
                 const InspectArguments& arguments) {
  uint64_t memory = 0;
  std::string text;
  Append(&text, "%s: format %u, %s of files in %s, %.2f bits per weight\n",
         Printable(archive.path().string()).c_str(), unsigned{archive.format_version()},
         HumanBytes(summary.source_bytes).c_str(), HumanBytes(archive.stored_bytes()).c_str(),
         summary.bits_per_weight);
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
    if (arguments.parts.files) {
      const Status listed = ForFiles(archive, v, arguments.limits, &memory,
                                     [&](const FileInfo& file) { AppendFile(file, &text); });
      if (!listed.ok()) return listed;
    }
    if (!arguments.parts.tensors) continue;
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
  const bool drawn = !arguments.html.empty();
  if (!arguments.json && !drawn) {
    const Status printed = PrintText(*archive, *summary, arguments);
    return printed.ok() ? kExitDone : Report(printed);
  }
  DocumentParts parts = arguments.parts;
  if (drawn) parts.tensors = true;
  const auto document = ArchiveDocument(*archive, *summary, parts, arguments.limits);
  if (!document.ok()) return Report(document.status());
  if (drawn) return Draw(document->text(), {"archive", "--output=" + arguments.html});
  PrintJson(*document);
  return kExitDone;
}

}  // namespace

void AddInspectCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<InspectArguments>();
  command->add_option("archive", arguments->archive, "Archive to read: a path or a URL")
      ->required();
  arguments->limits.AddOptions(command, "");
  command->add_flag("--files", arguments->parts.files, "List every file with its digest");
  command->add_flag("--tensors", arguments->parts.tensors, "List every tensor and how it is coded");
  AddJson(command, &arguments->json);
  command->add_option("--html", arguments->html, "Draw a page to this file; - is standard output")
      ->type_name("FILE")
      ->excludes(command->get_option("--json"));
  command->callback([=] { *exit_code = RunInspect(*arguments); });
}

}  // namespace qstore::cli
