// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "registry/tunes.h"
#include "registry/weights.h"
#include "scheme/chunk_coder.h"
#include "scheme/registry.h"

// Codes or decodes one chunk a number of times, and nothing else that grows with that number: for
// programs that count instructions.
// Usage: chunk_work int8|float|bins|delta encode|decode REPEATS [BF16|F16|F32] [1|2|3, the level]

namespace {

using qstore::DType;
using qstore::Level;
namespace scheme = qstore::scheme;

constexpr uint64_t kRows = 16;
constexpr uint64_t kColumns = 4096;

struct Work {
  scheme::ObjectSpec spec;
  std::vector<std::byte> content;
  std::unique_ptr<const scheme::Bound> bound;
  std::vector<scheme::ParentContent> parents;
  scheme::Given given() const { return {bound.get(), parents}; }
};

bool Run(const Work& work, Level level, bool decode, int repeats) {
  scheme::ChunkCoder coder;
  std::vector<std::byte> payload;
  std::vector<std::byte> out(work.content.size());
  auto codec = coder.Encode(work.spec, level, 0, work.content, work.given(), &payload);
  if (!codec.ok()) return false;
  for (int i = 0; i < repeats; ++i) {
    if (decode) {
      if (!coder.Decode(work.spec, 0, *codec, payload, work.given(), out).ok()) return false;
    } else {
      codec = coder.Encode(work.spec, level, 0, work.content, work.given(), &payload);
      if (!codec.ok()) return false;
    }
  }
  return !decode || repeats == 0 || out == work.content;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return std::fputs("usage: see the source\n", stderr), 2;
  const std::string kind = argv[1];
  const DType dtype = qstore::DTypeFromName(argc > 4 ? argv[4] : "BF16").value_or(DType::kBF16);
  const auto level = static_cast<Level>(argc > 5 ? std::atoi(argv[5]) : 2);
  const auto pair = qstore::testing::MakePair(dtype, kRows, kColumns, 1);
  const uint64_t shape[2] = {kRows, kColumns};
  Work work;
  work.content = kind == "int8" ? pair.q : pair.high;
  work.spec = scheme::SpecFor(kind == "int8" ? DType::kI8 : dtype, shape, work.content.size());
  // The tensor is one chunk of a larger one, which takes the codes for large ones.
  work.spec.byte_size *= 256;
  work.spec.chunk_elems = kRows * kColumns;
  std::vector<std::byte> scales(pair.scales);
  if (kind == "bins") {
    scales.resize(scales.size() * 256);
    scheme::ObjectSpec q = work.spec;
    q.dtype = DType::kI8;
    q.byte_size = q.byte_size * 8 / qstore::DTypeBits(dtype);
    const uint64_t rows[1] = {256 * kRows};
    const scheme::ObjectSpec parents[] = {q, scheme::SpecFor(DType::kF32, rows, scales.size())};
    auto bound = scheme::BindScheme(1, work.spec, parents, {});
    if (!bound.ok()) return std::fputs(bound.status().message().c_str(), stderr), 1;
    work.bound = std::move(bound).value();
    work.parents = {{pair.q, false}, {scales, true}};
  }
  std::vector<std::byte> base;
  if (kind == "delta") {
    base = work.content;
    work.content = qstore::testing::Tuned(dtype, base, 1e-4f, 2);
    auto bound = scheme::BindScheme(16, work.spec, {&work.spec, 1}, {});
    if (!bound.ok()) return std::fputs(bound.status().message().c_str(), stderr), 1;
    work.bound = std::move(bound).value();
    work.parents = {{base, false}};
  }
  const bool ok = Run(work, level, std::strcmp(argv[2], "decode") == 0, std::atoi(argv[3]));
  if (!ok) std::fputs("the chunk did not come back\n", stderr);
  std::printf("%llu weights\n", static_cast<unsigned long long>(kRows * kColumns));
  return ok ? 0 : 1;
}
