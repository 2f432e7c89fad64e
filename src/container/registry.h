// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/disk_ids.h"
#include "container/container.h"
#include "qstore/byte_source.h"
#include "qstore/status.h"

namespace qstore::container {

/// Null when there is no container of this number here.
const Container* FindContainer(ContainerId id);

/// The container that may have made a file of that path, the first of several. Null for none.
const Container* FindClaimant(std::string_view path);

/// A file taken apart by the container that it is of.
struct Opened {
  const Container* container = nullptr;
  Layout layout;
  /// Why a container that claims the path refuses the file; ok where none does, or where files of
  /// other kinds have such paths too.
  Status refusal;
};

/// Null and no parts for bytes without known structure. Errors: those of `file`.
Result<Opened> OpenContainer(std::string_view path, const ByteSource& file);

}  // namespace qstore::container
