// SPDX-License-Identifier: Apache-2.0
#include "container/gguf/gguf_head.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "container/gguf/gguf_types.h"
#include "format/index.h"
#include "format/limits.h"
#include "io/safetensors.h"

namespace qstore::container {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMostAlignment = uint64_t{1} << 20;
constexpr uint32_t kMostDims = 4;
constexpr uint64_t kMostKeyBytes = 65535;
constexpr uint64_t kMostBytesOfKeys = uint64_t{1} << 20;
constexpr std::string_view kAlignmentKey = "general.alignment";

/// Fields of a file, one after another.
class Cursor {
 public:
  explicit Cursor(const ByteSource& file)
      : file_(file), end_(std::min(file.size(), kMaxGgufHead)) {}

  uint64_t position() const { return begin_ + at_; }
  uint64_t remaining() const { return end_ - position(); }

  template <std::unsigned_integral T>
  Result<T> Fixed() {
    QSTORE_ASSIGN(const auto bytes, Take(sizeof(T)));
    return base::LoadLe<T>(bytes.data());
  }

  Result<std::string> String(uint64_t most, std::string_view what) {
    QSTORE_ASSIGN(const uint64_t size, Fixed<uint64_t>());
    if (size > most) return Corrupt(std::string(what) + " is too long");
    QSTORE_ASSIGN(const auto bytes, Take(size));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  Status Skip(uint64_t size) {
    if (size > remaining()) return End();
    const uint64_t here = std::min<uint64_t>(size, window_.size() - at_);
    at_ += static_cast<size_t>(here);
    if (size > here) {
      begin_ = position() + (size - here);
      window_.clear();
      at_ = 0;
    }
    return {};
  }

 private:
  static constexpr uint64_t kWindow = uint64_t{1} << 16;

  Status End() const {
    return Corrupt("the head reaches beyond the file, or has more than 2^27 bytes");
  }

  // The next bytes, for the time until the next call.
  Result<std::span<const std::byte>> Take(uint64_t size) {
    if (size > remaining()) return End();
    if (size > window_.size() - at_) {
      begin_ = position();
      at_ = 0;
      window_.resize(static_cast<size_t>(std::min(end_ - begin_, std::max(size, kWindow))));
      QSTORE_TRY(file_.Read(begin_, window_));
    }
    const auto taken = std::span(window_).subspan(at_, static_cast<size_t>(size));
    at_ += static_cast<size_t>(size);
    return std::span<const std::byte>(taken);
  }

  const ByteSource& file_;
  const uint64_t end_;
  std::vector<std::byte> window_;
  uint64_t begin_ = 0;  // Of the window in the file.
  size_t at_ = 0;       // In the window.
};

// Bytes of a value of fixed size.
std::optional<uint64_t> SizeOf(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    default:
      return std::nullopt;
  }
}

class HeadReader {
 public:
  HeadReader(const ByteSource& file, const GgufVisitor& visitor) : cursor_(file), visit_(visitor) {}

  Result<GgufHead> Run() {
    QSTORE_ASSIGN(const auto magic, cursor_.Fixed<uint32_t>());
    if (magic != kMagic) return Corrupt("does not begin with GGUF");
    QSTORE_ASSIGN(head_.version, cursor_.Fixed<uint32_t>());
    if (head_.version != 2 && head_.version != 3) {
      return Corrupt((head_.version & 0xFFFF) == 0
                         ? std::string("is big-endian")
                         : "version " + std::to_string(head_.version) + " is not 2 or 3");
    }
    QSTORE_ASSIGN(head_.tensor_count, cursor_.Fixed<uint64_t>());
    QSTORE_ASSIGN(head_.value_count, cursor_.Fixed<uint64_t>());
    head_.alignment = kDefaultAlignment;
    for (uint64_t i = 0; i < head_.value_count; ++i) QSTORE_TRY(Value());
    head_.tensors_begin = cursor_.position();
    for (uint64_t i = 0; i < head_.tensor_count; ++i) QSTORE_TRY(Tensor());
    head_.tensors_end = cursor_.position();
    const uint64_t mask = head_.alignment - 1;
    head_.data_begin = (head_.tensors_end + mask) & ~mask;
    if (head_.data_begin > kMaxGgufHead) return Corrupt("the head has more than 2^27 bytes");
    return head_;
  }

 private:
  Status Value() {
    QSTORE_ASSIGN(const std::string key, cursor_.String(kMostKeyBytes, "a key"));
    if (key.empty()) return Corrupt("a key is empty");
    key_bytes_ += key.size();
    if (key_bytes_ > kMostBytesOfKeys) return Corrupt("keys have more than 2^20 bytes");
    const auto within = [&](const Status& status) {
      return status.WithContext("key " + io::QuotedName(key));
    };
    if (!keys_.insert(key).second) return within(Corrupt("comes twice"));
    const auto type = cursor_.Fixed<uint32_t>();
    if (!type.ok()) return type.status();
    GgufValue value{key, static_cast<GgufType>(*type), cursor_.position(), 0, {}};
    QSTORE_TRY(within(TakeValue(&value)));
    value.end = cursor_.position();
    return visit_.value ? visit_.value(value) : Status();
  }

  Status TakeValue(GgufValue* value) {
    if (value->key == kAlignmentKey) return Alignment(value->type);
    switch (value->type) {
      case GgufType::kU32:
      case GgufType::kI32: {
        QSTORE_ASSIGN(const auto number, cursor_.Fixed<uint32_t>());
        if (value->type == GgufType::kU32 || number >> 31 == 0) value->number = number;
        return {};
      }
      case GgufType::kU64: {
        QSTORE_ASSIGN(value->number, cursor_.Fixed<uint64_t>());
        return {};
      }
      default:
        return SkipValue(value->type);
    }
  }

  Status Alignment(GgufType type) {
    if (type != GgufType::kU32) return Corrupt("is no u32");
    QSTORE_ASSIGN(head_.alignment, cursor_.Fixed<uint32_t>());
    if (!std::has_single_bit(head_.alignment) || head_.alignment > kMostAlignment) {
      return Corrupt("is no power of two up to 2^20");
    }
    return {};
  }

  Status SkipValue(GgufType type) {
    if (const auto size = SizeOf(type)) return cursor_.Skip(*size);
    if (type == GgufType::kString) return SkipString();
    if (type != GgufType::kArray) return Corrupt("its type is unknown");
    QSTORE_ASSIGN(const auto of, cursor_.Fixed<uint32_t>());
    QSTORE_ASSIGN(const auto count, cursor_.Fixed<uint64_t>());
    const auto elem = static_cast<GgufType>(of);
    if (const auto size = SizeOf(elem)) {
      if (count > cursor_.remaining() / *size) return Corrupt("its array reaches beyond the file");
      return cursor_.Skip(count * *size);
    }
    if (elem != GgufType::kString) return Corrupt("is an array of neither numbers nor strings");
    // Each takes 8 bytes or more: no loop is longer than the file.
    if (count > cursor_.remaining() / 8) return Corrupt("its array reaches beyond the file");
    for (uint64_t i = 0; i < count; ++i) QSTORE_TRY(SkipString());
    return {};
  }

  Status SkipString() {
    QSTORE_ASSIGN(const auto size, cursor_.Fixed<uint64_t>());
    return cursor_.Skip(size);
  }

  Status Tensor() {
    QSTORE_ASSIGN(const std::string name,
                  cursor_.String(format::kMaxTensorNameBytes, "a tensor's name"));
    const auto within = [&](const Status& status) {
      return status.WithContext("tensor " + io::QuotedName(name));
    };
    if (!names_.insert(name).second) return within(Corrupt("comes twice"));
    QSTORE_ASSIGN(const auto rank, cursor_.Fixed<uint32_t>());
    if (rank > kMostDims) return within(Corrupt("has more than 4 dimensions"));
    uint64_t shape[kMostDims] = {};
    for (uint32_t d = 0; d < rank; ++d) {
      QSTORE_ASSIGN(shape[rank - 1 - d], cursor_.Fixed<uint64_t>());
    }
    QSTORE_ASSIGN(const auto number, cursor_.Fixed<uint32_t>());
    GgufTensor tensor{name, {}, {shape, rank}, 0, 0};
    QSTORE_ASSIGN(tensor.offset, cursor_.Fixed<uint64_t>());
    const auto dtype = DTypeOfGgml(number);
    if (!dtype) return within(Corrupt("type " + std::to_string(number) + " is unknown"));
    tensor.dtype = *dtype;
    const auto size = format::TensorBytes(tensor.dtype, tensor.shape);
    if (!size) return within(Corrupt("shape is of no whole blocks, or too large"));
    tensor.size = *size;
    if (tensor.offset % head_.alignment != 0) return within(Corrupt("is not aligned"));
    return visit_.tensor ? visit_.tensor(tensor) : Status();
  }

  Cursor cursor_;
  const GgufVisitor& visit_;
  GgufHead head_;
  std::unordered_set<std::string> keys_;
  uint64_t key_bytes_ = 0;
  std::unordered_set<std::string> names_;
};

}  // namespace

Result<GgufHead> ReadGgufHead(const ByteSource& file, const GgufVisitor& visitor) {
  return HeadReader(file, visitor).Run();
}

}  // namespace qstore::container
