// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "commands.h"
#include "open_archive.h"
#include "qstore/file_reader.h"
#include "qstore/source.h"
#include "qstore_apps/file_cache.h"
#include "terminal.h"

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
};

/// What is to be written.
struct Content {
  size_t file = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
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
  return Content{info.file, *offset, *offset + info.byte_size};
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
                  "'; `qstore ls` lists them");
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
  const bool to_terminal = !arguments.force && ::isatty(STDOUT_FILENO) == 1;
  return Report(Write(*content, to_terminal, cache->get()));
}

}  // namespace

void AddCatCommand(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<CatArguments>();
  CLI::App* command =
      app.add_subcommand("cat", "Write the bytes of a file or a tensor to standard output");
  command->add_option("archive", arguments->archive, "Archive to read")->required();
  command->add_option("variant", arguments->variant, "Name of the variant")
      ->required()
      ->type_name("NAME");
  command->add_option("name", arguments->name, "File or, when there is no such file, tensor")
      ->required()
      ->type_name("FILE|TENSOR");
  command->add_flag("--tensor", arguments->is_tensor, "It is a tensor");
  command->add_option("--threads", arguments->threads, "0: all processors (default)")
      ->type_name("N");
  arguments->limits.AddOptions(command, "");
  command->add_flag("--force", arguments->force, "Write bytes that are no text to a terminal, too");
  command->callback([=] { *exit_code = RunCat(*arguments); });
}

}  // namespace qstore::cli
