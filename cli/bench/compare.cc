// SPDX-License-Identifier: Apache-2.0
#include "compare.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
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

/// Of a header, an object of objects, it reads the members "data_offsets" alone.
class Originals::HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(Offsets* offsets) : offsets_(*offsets) {}

  bool key(string_t& value) override {
    if (depth_ == 1) tensor_ = value;
    is_offsets_ = depth_ == 2 && value == "data_offsets";
    return true;
  }
  bool start_object(std::size_t) override { return ++depth_ > 0; }
  bool end_object() override { return --depth_ >= 0; }
  bool start_array(std::size_t) override {
    count_ = 0;
    return depth_++ > 0;  // The header itself is none.
  }
  bool end_array() override { return --depth_ >= 0; }
  bool number_unsigned(number_unsigned_t value) override {
    if (is_offsets_ && depth_ == 3 && count_ < 2) offsets_[tensor_][count_++] = value;
    return depth_ > 0;
  }
  bool null() override { return depth_ > 0; }
  bool boolean(bool) override { return depth_ > 0; }
  bool number_integer(number_integer_t) override { return depth_ > 0; }
  bool number_float(number_float_t, const string_t&) override { return depth_ > 0; }
  bool string(string_t&) override { return depth_ > 0; }
  bool binary(binary_t&) override { return false; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  Offsets& offsets_;
  int depth_ = 0;
  std::string tensor_;
  bool is_offsets_ = false;
  size_t count_ = 0;
};

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
  HeaderReader reader(&made.offsets);
  const bool is_read = nlohmann::json::sax_parse(text, &reader);
  made.data_begin = sizeof(size) + size;
  return is_read ? Status() : bad;
}

Status Originals::Compare(const TensorInfo& tensor, std::string_view file, uint64_t begin,
                          std::span<const std::byte> content) {
  Source* source = nullptr;
  if (const Status status = OpenSource(file, &source); !status.ok()) return status;
  const std::string what = "tensor '" + std::string(tensor.name) + "'";
  const auto entry = source->offsets.find(tensor.name);
  if (entry == source->offsets.end()) {
    return NotFound(source->file->path().string() + ": has no " + what);
  }
  const auto& offsets = entry->second;
  if (offsets[1] - offsets[0] != tensor.byte_size) return Mismatch(what + " has another size");
  return CompareWithFile(*source->file, source->data_begin + offsets[0] + begin, content, what);
}

}  // namespace qstore::cli
