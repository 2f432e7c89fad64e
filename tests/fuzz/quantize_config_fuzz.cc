// SPDX-License-Identifier: Apache-2.0
// A config.json that is rewritten is a JSON object that says what it was rewritten for, and is a
// fixed point: written for a cast again it stays as it is, and cannot be quantized twice. The input
// is the target, how many modules are skipped, and the text.
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "fuzz/fuzz_input.h"
#include "io/json_document.h"
#include "make/format_config.h"
#include "make/quantize_config.h"

namespace {

using qstore::io::JsonDocument;
using qstore::make::QuantizeOptions;
using qstore::make::QuantizeRest;
using qstore::make::QuantizeTarget;
using qstore::make::SkippedModules;

void CheckRewritten(const std::string& config, const QuantizeOptions& options,
                    const SkippedModules& skipped) {
  const auto document = JsonDocument::Parse(config);
  FUZZ_CHECK(document.ok());
  const auto again = qstore::make::RewriteConfig(config, options, skipped);
  if (options.target == QuantizeTarget::kLlmInt8) {
    FUZZ_CHECK(document->Has("quantization_config"));
    FUZZ_CHECK(again.status().code() == qstore::ErrorCode::kInvalidArgument);
  } else {
    FUZZ_CHECK(again.ok() && *again == config);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr QuantizeTarget kTargets[] = {QuantizeTarget::kLlmInt8, QuantizeTarget::kF16,
                                                QuantizeTarget::kBF16};
  static constexpr QuantizeRest kRests[] = {QuantizeRest::kKeep, QuantizeRest::kF16,
                                            QuantizeRest::kBF16};
  qstore::fuzz::FuzzInput in(std::as_bytes(std::span(data, size)));
  QuantizeOptions options;
  const auto choice = in.Number<uint8_t>();
  options.target = kTargets[choice % 3];
  options.rest = kRests[choice / 3 % 3];
  const auto count = in.Number<uint8_t>();
  SkippedModules skipped;
  skipped.all.assign(count % 4, "lm_head \"quoted\"\n");
  skipped.departs = !skipped.all.empty();
  const auto rest = in.Rest();
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), rest.size());
  const auto config = qstore::make::RewriteConfig(text, options, skipped);
  if (config.ok()) {
    CheckRewritten(*config, options, skipped);
  } else {
    FUZZ_CHECK(!config.status().message().empty());
    FUZZ_CHECK(!JsonDocument::Parse(text).ok() || options.target == QuantizeTarget::kLlmInt8);
  }
  return 0;
}
