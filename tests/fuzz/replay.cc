// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target's body over the committed inputs, over prefixes of each, all of them
// when it is short, and over a fixed number of mutations.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "fuzz/fuzz.h"

namespace {

constexpr size_t kPrefixes = 256;
constexpr int kMutations = 200;

// A few bytes overwritten, or a part removed or doubled.
std::vector<char> Mutate(std::vector<char> bytes, std::mt19937_64* random) {
  const auto below = [&](size_t bound) { return static_cast<size_t>((*random)() % bound); };
  for (size_t count = 1 + below(4); count > 0 && !bytes.empty(); --count) {
    const size_t at = below(bytes.size());
    const auto begin = bytes.begin() + static_cast<ptrdiff_t>(at);
    const auto end =
        begin + static_cast<ptrdiff_t>(1 + below(std::min<size_t>(bytes.size() - at, 16)));
    const size_t kind = below(6);
    if (kind == 0) {
      bytes.erase(begin, end);
    } else if (kind == 1) {
      const std::vector<char> part(begin, end);
      bytes.insert(begin, part.begin(), part.end());
    } else if (kind == 2) {
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
    } else {
      bytes[at] = static_cast<char>(below(256));
    }
  }
  return bytes;
}

void Run(const std::vector<char>& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

void RunWithPrefixes(const std::vector<char>& input) {
  const size_t step = input.size() / kPrefixes + 1;
  for (size_t cut = 0; cut <= input.size(); cut += step) {
    const size_t size = input.size() - cut;
    // A copy of its own, so that a sanitizer sees a read past the end.
    const std::vector<char> exact(input.begin(), input.begin() + static_cast<ptrdiff_t>(size));
    Run(exact);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
    return 2;
  }
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> input{std::istreambuf_iterator<char>(file), {}};
    RunWithPrefixes(input);
    // Seeded for each file, so that a failure does not depend on the order of the directory.
    std::mt19937_64 random(input.size());
    for (int i = 0; i < kMutations; ++i) Run(Mutate(input, &random));
    ++count;
  }
  std::printf("%zu inputs\n", count);
  return count == 0 ? 1 : 0;
}
