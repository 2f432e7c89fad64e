// SPDX-License-Identifier: Apache-2.0
#include "compare.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace qstore::cli {

Status CompareWithFile(const PosixFile& file, uint64_t offset, std::span<const std::byte> content,
                       std::string_view what) {
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (size_t at = 0; at < content.size(); at += buffer.size()) {
    const size_t size = std::min(buffer.size(), content.size() - at);
    const Status status = file.ReadAt(offset + at, std::span(buffer).first(size));
    if (!status.ok()) return status;
    if (std::memcmp(buffer.data(), content.data() + at, size) != 0) {
      return Mismatch(std::string(what) + " differs from " + file.path().string());
    }
  }
  return {};
}

Status Originals::OpenSource(std::string_view file, Source** source) {
  const auto [at, is_new] = sources_.try_emplace(std::string(file));
  *source = &at->second;
  if (!is_new) return {};
  std::error_code error;
  auto opened =
      PosixFile::OpenRead(std::filesystem::is_directory(root_, error) ? root_ / file : root_);
  if (!opened.ok()) return opened.status();
  Source& made = at->second;
  made.file = std::move(opened).value();
  const Status bad = Corrupt(made.file->path().string() + ": is no .safetensors file");
  uint64_t size = 0;
  if (made.file->size() < sizeof(size)) return bad;
  Status status = made.file->ReadAt(0, std::as_writable_bytes(std::span(&size, 1)));
  if (!status.ok()) return status;
  if (size > made.file->size() - sizeof(size)) return bad;
  std::string text(size, '\0');
  status = made.file->ReadAt(sizeof(size), std::as_writable_bytes(std::span(text)));
  if (!status.ok()) return status;
  made.header = nlohmann::json::parse(text, nullptr, false);
  made.data_begin = sizeof(size) + size;
  return made.header.is_object() ? Status() : bad;
}

Status Originals::Compare(const TensorInfo& tensor, std::string_view file, uint64_t begin,
                          std::span<const std::byte> content) {
  Source* source = nullptr;
  if (const Status status = OpenSource(file, &source); !status.ok()) return status;
  const std::string what = "tensor '" + std::string(tensor.name) + "'";
  const auto entry = source->header.find(std::string(tensor.name));
  if (entry == source->header.end() || !entry->contains("data_offsets")) {
    return NotFound(source->file->path().string() + ": has no " + what);
  }
  const auto offsets = entry->at("data_offsets").get<std::array<uint64_t, 2>>();
  if (offsets[1] - offsets[0] != tensor.byte_size) return Mismatch(what + " has another size");
  return CompareWithFile(*source->file, source->data_begin + offsets[0] + begin, content, what);
}

}  // namespace qstore::cli
