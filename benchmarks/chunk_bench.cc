// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "codec/kernels/kernels.h"
#include "registry/chunk_parents.h"
#include "registry/tunes.h"
#include "registry/weights.h"
#include "scheme/chunk_coder.h"
#include "scheme/ggml/block_values.h"
#include "scheme/ggml/ggml_params.h"
#include "scheme/ggml/search/search.h"
#include "scheme/registry.h"

// Times coding and decoding of chunks in one thread, over a working set larger than the caches.
// Usage: chunk_bench [BF16|F16|F32] [columns]

namespace {

using qstore::DType;
using qstore::Level;
namespace scheme = qstore::scheme;

// Processor time of this thread: what other programs do matters less.
double Seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

struct Subject {
  const char* name;
  scheme::ObjectSpec spec;
  const std::vector<std::byte>* content;
  const scheme::Bound* bound = nullptr;
  std::vector<std::vector<std::byte>> parents = {};
};

void Run(const Subject& subject, Level level) {
  const auto& spec = subject.spec;
  scheme::ChunkCoder coder;
  const uint64_t chunks = spec.chunk_count();
  std::vector<std::vector<std::byte>> payloads(chunks);
  std::vector<qstore::ChunkCodec> codecs(chunks);
  const uint64_t elem = spec.elem_bytes();
  std::vector<qstore::testing::ChunkParents> parents;
  for (uint64_t c = 0; c < chunks; ++c) {
    parents.emplace_back(subject.bound, subject.parents, spec, c);
  }
  const double t0 = Seconds();
  uint64_t stored = 0;
  for (uint64_t c = 0; c < chunks; ++c) {
    const auto raw = std::span(*subject.content)
                         .subspan(spec.first_elem(c) * elem, spec.chunk_elem_count(c) * elem);
    codecs[c] = coder.Encode(spec, level, c, raw, parents[c].given(), &payloads[c]).value();
    stored += payloads[c].size();
  }
  const double t1 = Seconds();
  std::vector<std::byte> out(subject.content->size());
  double best = 1e9;
  for (int run = 0; run < 7; ++run) {
    const double start = Seconds();
    for (uint64_t c = 0; c < chunks; ++c) {
      const auto raw =
          std::span(out).subspan(spec.first_elem(c) * elem, spec.chunk_elem_count(c) * elem);
      if (!coder.Decode(spec, c, codecs[c], payloads[c], parents[c].given(), raw).ok())
        return std::puts("decode failed"), void();
    }
    best = std::min(best, Seconds() - start);
  }
  const bool same = out == *subject.content;
  const auto n = static_cast<double>(spec.elem_count() * qstore::DTypeBlock(spec.dtype));
  std::printf("%-14s level %d codec %d  %7.4f b/w  encode %6.3f Gw/s  decode %6.3f Gw/s %s\n",
              subject.name, static_cast<int>(level), static_cast<int>(codecs[0]),
              8.0 * static_cast<double>(stored) / n, n / (t1 - t0) * 1e-9, n / best * 1e-9,
              same ? "" : "DIFFERS");
}

// Blocks of ggml given weights: made again, or their scales stored.
void RunBlocks(DType type, bool is_replayed, const scheme::ObjectSpec& high,
               const qstore::testing::WeightPair& pair) {
  namespace ggml = scheme::ggml;
  std::vector<float> weights(pair.rows * pair.columns);
  ggml::ValueScratch values;
  ggml::ValuesOf(high.dtype, pair.high, &values, weights);
  std::vector<std::byte> blocks(weights.size() / qstore::DTypeBlock(type) *
                                qstore::DTypeBits(type) / 8);
  const auto search = std::make_unique<ggml::SearchScratch>();
  ggml::QuantizeRows(type, weights, pair.columns, {}, blocks, search.get());
  ggml::GgmlParams params;
  params.is_replayed = is_replayed;
  params.parent_dtype = high.dtype;
  params.columns = pair.columns;
  const uint64_t shape[2] = {pair.rows, pair.columns};
  const auto spec = scheme::SpecFor(type, shape, blocks.size());
  const scheme::ObjectSpec parents[] = {high};
  const auto bound = scheme::BindScheme(15, spec, parents, ggml::WriteGgmlParams(params));
  if (!bound.ok()) return std::puts(bound.status().message().c_str()), void();
  const std::string name = std::string(qstore::DTypeName(type)) + (is_replayed ? " made" : "");
  Run({name.c_str(), spec, &blocks, bound->get(), {pair.high}}, Level::kMax);
}

}  // namespace

int main(int argc, char** argv) {
  const DType dtype = qstore::DTypeFromName(argc > 1 ? argv[1] : "BF16").value_or(DType::kBF16);
  const uint64_t columns = argc > 2 ? std::stoull(argv[2]) : 4096;
  const auto pair = qstore::testing::MakePair(dtype, (uint64_t{1} << 24) / columns, columns, 1);
  const uint64_t shape[2] = {pair.rows, pair.columns};
  auto high = scheme::SpecFor(dtype, shape, pair.high.size());
  auto low = scheme::SpecFor(DType::kI8, shape, pair.q.size());
  const uint64_t rows[1] = {pair.rows};
  const scheme::ObjectSpec parents[] = {low,
                                        scheme::SpecFor(DType::kF32, rows, pair.scales.size())};
  auto bound = scheme::BindScheme(1, high, parents, {});
  if (!bound.ok()) return std::puts(bound.status().message().c_str()), 1;
  const auto tuned = qstore::testing::Tuned(dtype, pair.high, 1e-4f, 2);
  const auto still = qstore::testing::Tuned(dtype, pair.high, 1e-5f, 3);
  auto given_base = scheme::BindScheme(16, high, {&high, 1}, {});
  if (!given_base.ok()) return std::puts(given_base.status().message().c_str()), 1;
  std::printf("kernels: %s\n", qstore::codec::ActiveKernels().name);
  for (Level level : {Level::kFast, Level::kBalanced, Level::kMax}) {
    Run({"int8", low, &pair.q}, level);
    Run({"float alone", high, &pair.high}, level);
    Run({"float | int8", high, &pair.high, bound->get(), {pair.q, pair.scales}}, level);
    Run({"tune of 1e-4", high, &tuned, given_base->get(), {pair.high}}, level);
    Run({"tune of 1e-5", high, &still, given_base->get(), {pair.high}}, level);
  }
  for (const DType type : {DType::kQ8_0, DType::kQ4K, DType::kQ6K, DType::kIq4Xs}) {
    if (columns % qstore::DTypeBlock(type) != 0) continue;
    for (const bool is_replayed : {false, true}) RunBlocks(type, is_replayed, high, pair);
  }
  return 0;
}
