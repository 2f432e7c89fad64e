// SPDX-License-Identifier: Apache-2.0
#include "diff_side.h"

#include <filesystem>
#include <utility>

#include "bench/posix_file.h"
#include "open_archive.h"
#include "qstore/checkpoint.h"
#include "qstore/file_reader.h"
#include "qstore/pack.h"
#include "qstore/source.h"
#include "values.h"

namespace qstore::cli {

namespace fs = std::filesystem;

struct DiffSide::Parts {
  explicit Parts(Archive opened) : archive(std::move(opened)), reader(archive) {}
  Archive archive;
  FileReader reader;
};

DiffSide::DiffSide() = default;
DiffSide::~DiffSide() = default;
DiffSide::DiffSide(DiffSide&&) noexcept = default;

namespace {

// Whether it may be an archive; anything else is compared as files.
bool IsArchive(const std::string& path) {
  std::error_code error;
  return IsUrl(path) || (path.ends_with(".qstore") && !fs::is_directory(path, error));
}

// Where ":VARIANT" begins; the text's end where there is none.
size_t FindVariant(const std::string& text) {
  std::error_code error;
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || fs::exists(text, error)) return text.size();
  const bool is_name = CheckVariantName(text.substr(colon + 1)).ok();
  return is_name && IsArchive(text.substr(0, colon)) ? colon : text.size();
}

DiffBytes BytesOf(std::shared_ptr<const PosixFile> file) {
  const uint64_t size = file->size();
  return {size, [file = std::move(file)](uint64_t begin, std::span<std::byte> out) {
            return file->ReadAt(begin, out);
          }};
}

DiffBytes BytesOf(const CheckpointFile& file, uint64_t first, uint64_t size) {
  return {size, [content = file.content, first](uint64_t begin, std::span<std::byte> out) {
            return content->Read(first + begin, out);
          }};
}

// A file whose head cannot be read has no tensors here: its bytes are compared all the same.
Status AddTensors(const fs::path& root, DiffModel* model) {
  auto opened = Checkpoint::Open(root);
  if (!opened.ok())
    return opened.status().code() == ErrorCode::kCorrupt ? Status() : opened.status();
  const auto checkpoint = std::make_shared<const Checkpoint>(std::move(*opened));
  for (size_t t = 0; t < checkpoint->tensor_count(); ++t) {
    const CheckpointTensor tensor = checkpoint->tensor(t);
    const CheckpointFile& file = checkpoint->file(tensor.file);
    std::error_code error;
    const fs::path path =
        fs::is_directory(root, error) ? fs::relative(file.path, root, error) : file.path.filename();
    DiffTensor added{tensor.dtype, {tensor.shape.begin(), tensor.shape.end()}, path.string(), {}};
    added.open = [checkpoint, t]() -> Result<DiffBytes> {
      const CheckpointTensor found = checkpoint->tensor(t);
      return BytesOf(checkpoint->file(found.file), found.begin, found.byte_size);
    };
    model->tensors.try_emplace(std::string(tensor.name), std::move(added));
  }
  return {};
}

}  // namespace

Result<DiffSide> DiffSide::Open(const std::string& text, const OpenOptions& options) {
  DiffSide side;
  side.text_ = text;
  const size_t end = FindVariant(text);
  side.path_ = text.substr(0, end);
  if (end < text.size()) side.variant_ = text.substr(end + 1);
  std::error_code error;
  if (!IsArchive(side.path_)) {
    if (!fs::exists(side.path_, error)) return NotFound(side.path_ + ": no such file or directory");
    return side;
  }
  auto archive = OpenArchive(side.path_, options);
  if (!archive.ok()) return archive.status();
  side.parts_ = std::make_unique<Parts>(std::move(*archive));
  return side;
}

std::vector<std::string> DiffSide::variants() const { return NamesOfVariants(parts_->archive); }

Result<DiffModel> DiffSide::Model(const std::string& variant) const {
  if (!is_archive()) return ModelOfFiles();
  if (!variant.empty()) return ModelOfArchive(variant);
  if (variant_) return ModelOfArchive(*variant_);
  const std::vector<std::string> names = variants();
  if (names.size() == 1) return ModelOfArchive(names.front());
  return InvalidArgument(text_ + ": say " + text_ + ":VARIANT; there are: " + Listed(names));
}

Result<DiffModel> DiffSide::ModelOfArchive(const std::string& variant) const {
  const Archive& archive = parts_->archive;
  const FileReader& reader = parts_->reader;
  const auto v = archive.FindVariant(variant);
  if (!v.ok()) return v.status();
  const VariantInfo info = archive.variant(*v);
  const auto bytes_of = [&reader](size_t file, uint64_t first, uint64_t size) {
    return DiffBytes{size, [&reader, file, first](uint64_t begin, std::span<std::byte> out) {
                       return reader.Read(file, first + begin, out);
                     }};
  };
  DiffModel model;
  for (size_t f = info.first_file; f < info.first_file + info.file_count; ++f) {
    const FileInfo file = archive.file(f);
    if (file.is_directory) continue;
    model.files[std::string(file.path)] = {bytes_of(f, 0, file.size), file.digest};
  }
  for (size_t t = info.first_tensor; t < info.first_tensor + info.tensor_count; ++t) {
    const TensorInfo tensor = archive.tensor(t);
    DiffTensor added{tensor.dtype,
                     {tensor.shape.begin(), tensor.shape.end()},
                     std::string(archive.file(tensor.file).path),
                     {}};
    added.open = [&archive, &reader, bytes_of, t]() -> Result<DiffBytes> {
      const TensorInfo found = archive.tensor(t);
      const auto offset = reader.OffsetOf(t);
      if (!offset.ok()) return offset.status();
      return bytes_of(found.file, *offset, found.byte_size);
    };
    model.tensors.try_emplace(std::string(tensor.name), std::move(added));
  }
  return model;
}

Result<DiffModel> DiffSide::ModelOfFiles() const {
  const fs::path root = path_;
  std::error_code error;
  const bool is_folder = fs::is_directory(root, error);
  const auto paths = FilesBelow(root);
  if (!paths.ok()) return paths.status();
  DiffModel model;
  for (const fs::path& path : *paths) {
    auto file = PosixFile::OpenRead(path);
    if (!file.ok()) return file.status();
    const fs::path name = is_folder ? fs::relative(path, root, error) : path.filename();
    model.files[name.string()] = {BytesOf(std::move(*file)), std::nullopt};
  }
  const Status added = AddTensors(root, &model);
  if (!added.ok()) return added;
  return model;
}

}  // namespace qstore::cli
