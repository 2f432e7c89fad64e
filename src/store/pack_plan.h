// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "format/index.h"
#include "qstore/level.h"
#include "qstore/status.h"
#include "scheme/object_spec.h"
#include "scheme/scheme.h"
#include "store/source_model.h"

namespace qstore::store {

class SampleCache;

/// Where a part is: positions in PackPlan::variants, SourceVariant::files, SourceFileEntry::parts.
struct PartPlace {
  uint32_t variant = 0;
  uint32_t file = 0;
  uint32_t part = 0;
};

struct PlannedObject {
  scheme::ObjectSpec spec;
  PartPlace place;  ///< The first part with this content; its bytes are the ones that are coded.
  SchemeId scheme_id = kNoScheme;
  std::vector<std::byte> params;
  std::vector<uint32_t> parents;               ///< Objects, in the order of `bound`.
  std::shared_ptr<const scheme::Bound> bound;  ///< Null without a scheme.
  bool is_parent = false;
  uint64_t stored_load = 0;  ///< Of a stored one: its payloads, and those of its ancestors.
};

/// What an archive has, as a plan takes it.
struct StoredModel {
  const format::Index* index = nullptr;
  std::vector<SourceVariant> variants;  ///< Their files are decoded as they are read.
  std::vector<PlannedObject> objects;   ///< As the index has them.
};

/// Everything decided before the first byte is coded. Where an archive is there already, its
/// variants and objects come first and stay as they are: new ones may have them as parents.
struct PackPlan {
  const format::Index* stored = nullptr;  ///< Of that archive.
  std::vector<SourceVariant> variants;    ///< In coding order, each part with its object.
  std::vector<PlannedObject> objects;     ///< In coding order: by variant, opaque files first.
  /// By variant: the one that its parents must be of, or nothing where the measure decides.
  std::vector<std::optional<uint32_t>> fixed_parents;
  std::vector<bool> is_direct;  ///< By variant: it loads from its own bytes.
  /// That of the chunks of new objects: children have chunks as long as those of their parents.
  Level cut_level = Level::kBalanced;

  uint32_t stored_variants() const {
    return stored == nullptr ? 0 : static_cast<uint32_t>(stored->variants.size());
  }
  uint32_t stored_objects() const {
    return stored == nullptr ? 0 : static_cast<uint32_t>(stored->objects.size());
  }
  bool is_stored(uint32_t object) const { return object < stored_objects(); }

  const SourceFileEntry& file(const PartPlace& place) const {
    return variants[place.variant].files[place.file];
  }
  SourcePart& part(const PartPlace& place) {
    return variants[place.variant].files[place.file].parts[place.part];
  }
  const SourcePart& part(const PartPlace& place) const { return file(place).parts[place.part]; }
};

/// Positions of the files of a variant in the order they are coded: opaque ones first, so that the
/// tensors lie together.
std::vector<uint32_t> CodingOrder(const SourceVariant& variant);

struct PlanOptions {
  Level level = Level::kBalanced;
  unsigned threads = 1;
  std::vector<ParentChoice> parents;
  std::vector<std::string> direct;
  std::function<Status()> poll;  ///< An error stops planning; called from one thread at a time.
  /// Parts whose samples are equal count as equal, so that nothing large is read whole.
  bool by_samples = false;
  SampleCache* samples = nullptr;  ///< Where set, what is measured comes from there or goes there.
};

/// Orders the variants, finds equal parts and chooses parents. `stored` is what they are added to.
/// Errors: read errors naming the file, those of options.poll, kInvalidArgument for parents or
/// direct variants that the variants do not allow.
Result<PackPlan> MakePlan(std::vector<SourceVariant> variants, const PlanOptions& options,
                          StoredModel stored = {});

/// Gives parts of new variants the objects of the archive that have their content: of files without
/// known structure by their digest, of tensors by their names, or by their first bytes where the
/// object has no name. Whatever is so found is compared byte by byte. Objects that are none are not
/// read but for a chunk. A step of MakePlan.
Status AssignStored(PackPlan* plan, const PlanOptions& options);

/// Gives each part without object its own, one and the same for parts of equal content. Contents
/// are compared byte by byte, or by samples where the options say so. A step of MakePlan.
Status AssignObjects(PackPlan* plan, const PlanOptions& options);

/// Gives tensors parents of other variants, so that all of them take few bytes and loads read
/// little more for it. A step of MakePlan.
Status ChooseParents(PackPlan* plan, const PlanOptions& options);

}  // namespace qstore::store
