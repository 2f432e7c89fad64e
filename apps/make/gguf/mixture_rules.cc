// SPDX-License-Identifier: Apache-2.0
#include "make/gguf/mixture_rules.h"

#include <algorithm>
#include <iterator>
#include <span>

namespace qstore::make {
namespace {

using Type = GgufFileType;

struct NamedRole {
  std::string_view part;
  Role role;
};

// The first part that a name has decides.
constexpr NamedRole kRoles[] = {
    {"attn_qkv.weight", Role::kValue},
    {"attn_kv_b.weight", Role::kValue},
    {"attn_v.weight", Role::kValue},
    {"attn_k.weight", Role::kKey},
    {"attn_q.weight", Role::kOther},
    {"attn_output.weight", Role::kAttentionOutput},
    {"ffn_up", Role::kUp},
    {"ffn_gate", Role::kGate},
    {"ffn_down", Role::kDown},
};

constexpr std::string_view kNeverParts[] = {
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
};
constexpr std::string_view kNeverNames[] = {"position_embd.weight", "token_types.weight"};

bool Has(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

bool IsFirstEighth(const MixturePlace& place) { return place.index < place.count / 8; }

using Condition = bool (*)(const MixturePlace& place);

bool Everywhere(const MixturePlace&) { return true; }
bool Grouped(const MixturePlace& place) { return place.is_grouped; }
bool FirstTwo(const MixturePlace& place) { return place.index < 2; }
bool FirstFour(const MixturePlace& place) { return place.index < 4; }
bool FirstEighth(const MixturePlace& place) { return IsFirstEighth(place); }
bool FirstSixteenth(const MixturePlace& place) { return place.index < place.count / 16; }
bool PlainFirstEighth(const MixturePlace& place) {
  return IsFirstEighth(place) && !place.has_importance;
}
bool WeighedFirstEighth(const MixturePlace& place) {
  return IsFirstEighth(place) && place.has_importance;
}
// The first eighth, the last, and every third between.
bool Chosen(const MixturePlace& place) {
  return IsFirstEighth(place) || place.index >= 7 * place.count / 8 ||
         (place.index - place.count / 8) % 3 == 2;
}

struct Row {
  GgufFileType mixture;
  Role role;
  DType type;
  Condition where;
};

// The first row that holds counts.
constexpr Row kRows[] = {
    {Type::kQ4_0, Role::kDown, DType::kQ4_1, WeighedFirstEighth},
    {Type::kQ5_0, Role::kDown, DType::kQ5_1, WeighedFirstEighth},
    {Type::kQ2K, Role::kValue, DType::kQ4K, Grouped},
    {Type::kQ2K, Role::kValue, DType::kQ3K, Everywhere},
    {Type::kQ2K, Role::kDown, DType::kQ3K, Everywhere},
    {Type::kQ2K, Role::kAttentionOutput, DType::kQ3K, Everywhere},
    {Type::kQ2KS, Role::kValue, DType::kQ4K, Grouped},
    {Type::kQ2KS, Role::kDown, DType::kQ4K, FirstEighth},
    {Type::kQ3KM, Role::kValue, DType::kQ5K, FirstTwo},
    {Type::kQ3KM, Role::kValue, DType::kQ4K, Everywhere},
    {Type::kQ3KM, Role::kDown, DType::kQ5K, FirstSixteenth},
    {Type::kQ3KM, Role::kDown, DType::kQ4K, Everywhere},
    {Type::kQ3KM, Role::kAttentionOutput, DType::kQ4K, Everywhere},
    {Type::kQ3KL, Role::kValue, DType::kQ5K, Everywhere},
    {Type::kQ3KL, Role::kDown, DType::kQ5K, Everywhere},
    {Type::kQ3KL, Role::kAttentionOutput, DType::kQ5K, Everywhere},
    {Type::kQ4KS, Role::kValue, DType::kQ5K, FirstFour},
    {Type::kQ4KS, Role::kDown, DType::kQ5K, FirstEighth},
    {Type::kQ4KM, Role::kValue, DType::kQ6K, Chosen},
    {Type::kQ4KM, Role::kDown, DType::kQ6K, Chosen},
    {Type::kQ5KM, Role::kValue, DType::kQ6K, Chosen},
    {Type::kQ5KM, Role::kDown, DType::kQ6K, Chosen},
    {Type::kIq4Nl, Role::kValue, DType::kQ5K, Grouped},
    {Type::kIq4Nl, Role::kDown, DType::kQ5K, PlainFirstEighth},
    {Type::kIq4Xs, Role::kValue, DType::kQ5K, Grouped},
    {Type::kIq4Xs, Role::kDown, DType::kQ5K, PlainFirstEighth},
    {Type::kTq1_0, Role::kEmbedding, DType::kQ4K, Everywhere},
    {Type::kTq2_0, Role::kEmbedding, DType::kQ4K, Everywhere},
};

constexpr Row kFalconRows[] = {
    {Type::kQ4_0, Role::kDown, DType::kQ4_1, WeighedFirstEighth},
    {Type::kQ5_0, Role::kDown, DType::kQ5_1, WeighedFirstEighth},
    {Type::kQ2K, Role::kDown, DType::kQ3K, Everywhere},
    {Type::kQ2KS, Role::kDown, DType::kQ4K, FirstEighth},
    {Type::kQ3KM, Role::kDown, DType::kQ5K, FirstSixteenth},
    {Type::kQ3KM, Role::kDown, DType::kQ4K, Chosen},
    {Type::kQ3KL, Role::kDown, DType::kQ4K, Everywhere},
    {Type::kQ3KL, Role::kAttentionOutput, DType::kQ4K, Everywhere},
    {Type::kQ4KM, Role::kDown, DType::kQ6K, FirstSixteenth},
    {Type::kQ4KM, Role::kDown, DType::kQ5K, Chosen},
    {Type::kQ5KM, Role::kDown, DType::kQ6K, Chosen},
    {Type::kIq4Nl, Role::kDown, DType::kQ5K, PlainFirstEighth},
    {Type::kIq4Xs, Role::kDown, DType::kQ5K, PlainFirstEighth},
};

std::optional<DType> TypeIn(std::span<const Row> rows, GgufFileType mixture, Role role,
                            const MixturePlace& place) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) {
    return row.mixture == mixture && row.role == role && row.where(place);
  });
  if (found == rows.end()) return std::nullopt;
  return found->type;
}

}  // namespace

Role RoleOf(std::string_view name) {
  if (name == "output.weight") return Role::kOutput;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight") return Role::kEmbedding;
  const auto* found = std::find_if(std::begin(kRoles), std::end(kRoles),
                                   [&](const NamedRole& named) { return Has(name, named.part); });
  return found == std::end(kRoles) ? Role::kOther : found->role;
}

bool IsNeverQuantized(std::string_view name) {
  const auto* by_name = std::find(std::begin(kNeverNames), std::end(kNeverNames), name);
  return by_name != std::end(kNeverNames) ||
         std::any_of(std::begin(kNeverParts), std::end(kNeverParts),
                     [&](std::string_view part) { return Has(name, part); });
}

std::optional<DType> MixedType(GgufFileType mixture, Role role, const MixturePlace& place) {
  return TypeIn(kRows, mixture, role, place);
}

std::optional<DType> FalconType(GgufFileType mixture, Role role, const MixturePlace& place) {
  return TypeIn(kFalconRows, mixture, role, place);
}

bool HasLargeOutputOfEight(GgufFileType mixture) {
  switch (mixture) {
    case Type::kQ2K:
    case Type::kQ3KS:
    case Type::kQ3KM:
    case Type::kQ4KS:
    case Type::kQ4KM:
    case Type::kIq4Nl:
    case Type::kIq4Xs:
      return true;
    default:
      return false;
  }
}

std::optional<DType> FallbackOf(DType type) {
  switch (type) {
    case DType::kQ2K:
    case DType::kQ3K:
    case DType::kTq1_0:
    case DType::kTq2_0:
      return DType::kQ4_0;
    case DType::kQ4K:
      return DType::kQ5_0;
    case DType::kQ5K:
      return DType::kQ5_1;
    case DType::kQ6K:
      return DType::kQ8_0;
    case DType::kIq4Xs:
      return DType::kIq4Nl;
    default:
      return std::nullopt;
  }
}

}  // namespace qstore::make
