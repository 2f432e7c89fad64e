// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "scheme/ggml/search/search.h"

// Times the searches for blocks of ggml in one thread: millions of weights a second, without and
// with importance. Usage: search_bench [rows of 4096 weights]

namespace {

using qstore::DType;
namespace ggml = qstore::scheme::ggml;

constexpr size_t kColumns = 4096;

// Processor time of this thread: what other programs do matters less.
double Seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double MillionsPerSecond(DType type, const std::vector<float>& weights,
                         std::span<const float> importance) {
  std::vector<std::byte> out(weights.size() / qstore::DTypeBlock(type) * qstore::DTypeBits(type) /
                             8);
  const auto scratch = std::make_unique<ggml::SearchScratch>();
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    const double start = Seconds();
    ggml::QuantizeRows(type, weights, kColumns, importance, out, scratch.get());
    best = std::max(best, static_cast<double>(weights.size()) / 1e6 / (Seconds() - start));
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const size_t rows = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 256;
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> weights(rows * kColumns);
  for (float& w : weights) w = normal(random);
  std::vector<float> importance(kColumns);
  for (float& q : importance) q = normal(random) * normal(random) + 1e-3f;
  std::printf("%-8s %10s %10s   million weights/s\n", "type", "without", "with");
  for (unsigned t = 0; t < qstore::kDTypeCount; ++t) {
    const auto type = static_cast<DType>(t);
    if (!ggml::IsSearched(type)) continue;
    std::printf("%-8s %10.1f %10.1f\n", std::string(DTypeName(type)).c_str(),
                MillionsPerSecond(type, weights, {}), MillionsPerSecond(type, weights, importance));
  }
  return 0;
}
