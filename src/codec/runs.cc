// SPDX-License-Identifier: Apache-2.0
#include "codec/runs.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "codec/plane.h"

namespace qstore::codec {
namespace {

size_t RunCount(size_t symbols, unsigned run_bits) {
  return (symbols + (size_t{1} << run_bits) - 1) >> run_bits;
}

// The class of each round of the rANS states, from those of runs.
std::vector<uint8_t> ClassesOfRounds(const uint8_t* class_of, size_t symbols, unsigned run_bits) {
  std::vector<uint8_t> rounds((symbols + kRansStates - 1) / kRansStates);
  const size_t per_run = size_t{1} << (run_bits - kRoundShift);
  for (size_t begin = 0; begin < rounds.size(); begin += per_run, ++class_of) {
    std::fill_n(rounds.begin() + static_cast<ptrdiff_t>(begin),
                std::min(per_run, rounds.size() - begin), *class_of);
  }
  return rounds;
}

}  // namespace

void EncodeRuns(std::span<const uint8_t> symbols, RunClasses classes, std::vector<std::byte>* out) {
  const size_t count = classes.counts.size();
  base::ByteWriter writer(out);
  writer.Fixed(static_cast<uint8_t>(classes.run_bits));
  writer.Fixed(static_cast<uint8_t>(count));
  if (count > 1) EncodePlane(classes.class_of, Effort::kHuffman, out);
  const std::vector<uint8_t> rounds =
      ClassesOfRounds(classes.class_of.data(), symbols.size(), classes.run_bits);
  ContextRansScratch scratch;
  scratch.counts = std::move(classes.counts);
  EncodeContextRans(symbols, {rounds, kRoundShift, count}, &scratch, out);
}

Status DecodeRuns(base::ByteReader* payload, size_t count, uint8_t* out) {
  const unsigned run_bits = payload->Fixed<uint8_t>();
  const size_t classes = payload->Fixed<uint8_t>();
  if (!payload->ok() || run_bits < kRoundShift || run_bits > kMaxRunBits || classes == 0 ||
      classes > kMaxRunClasses) {
    return Corrupt("runs: length or number of classes out of range");
  }
  const size_t runs = RunCount(count, run_bits);
  std::vector<uint8_t> room(runs + kPlaneSlack);
  const uint8_t* class_of = room.data();
  if (classes > 1) {
    QSTORE_ASSIGN(class_of, DecodeClassPlane(payload, runs, room.data()));
    if (std::any_of(class_of, class_of + runs, [&](uint8_t c) { return c >= classes; })) {
      return Corrupt("runs: class out of range");
    }
  }
  const std::vector<uint8_t> rounds = ClassesOfRounds(class_of, count, run_bits);
  ContextRansScratch scratch;
  return DecodeContextRans(payload, {rounds, kRoundShift, classes}, count, &scratch, out);
}

}  // namespace qstore::codec
