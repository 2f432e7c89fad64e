// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

namespace qstore::scheme {

struct GroupRange;

/// Which elements of a matrix have the same scale: blocks of `height` rows by `width` columns, cut
/// at the edges. Blocks are numbered row by row.
struct Groups {
  uint64_t height = 1;
  uint64_t width = 1;
  uint64_t columns = 1;  ///< Elements of a row; all of them where rows do not matter.

  uint64_t per_row() const { return (columns + width - 1) / width; }
  uint64_t Of(uint64_t elem) const {
    return elem / columns / height * per_row() + elem % columns / width;
  }
  uint64_t Count(uint64_t elems) const {
    const uint64_t rows = (elems + columns - 1) / columns;
    if (rows == 1) return (elems + width - 1) / width;
    return (rows + height - 1) / height * per_row();
  }
  /// Whether each is one run of elements, all of the same length but the last of a tensor of so
  /// many.
  bool AreRuns(uint64_t elems) const {
    return height == 1 && (columns % width == 0 || columns == elems);
  }
  /// The elements of so many groups that are runs; the last of a tensor may be shorter.
  GroupRange RunsOf(uint64_t first, uint64_t count, uint64_t elems) const;
  /// The same groups as those of one long row, where they are runs.
  Groups Joined(uint64_t elems) const { return AreRuns(elems) ? Groups{1, width, elems} : *this; }
};

/// Elements of a chunk, and the groups that they are of: of their rows, or where they are of one
/// row, from the first to the last.
struct GroupRange {
  uint64_t first_elem = 0;
  uint64_t elem_count = 0;

  uint64_t last_elem() const { return first_elem + elem_count - 1; }
  bool IsOfOneRow(const Groups& groups) const {
    return first_elem / groups.columns == last_elem() / groups.columns;
  }
  uint64_t FirstGroup(const Groups& groups) const {
    if (IsOfOneRow(groups)) return groups.Of(first_elem);
    return first_elem / groups.columns / groups.height * groups.per_row();
  }
  uint64_t EndGroup(const Groups& groups) const {
    if (IsOfOneRow(groups)) return groups.Of(last_elem()) + 1;
    return (last_elem() / groups.columns / groups.height + 1) * groups.per_row();
  }
};

inline GroupRange Groups::RunsOf(uint64_t first, uint64_t count, uint64_t elems) const {
  const uint64_t begin = std::min(first * width, elems);
  return {begin, std::min(count * width, elems - begin)};
}

/// Calls body(begin, run_elems, run_count, group) for runs that follow one another, each of the
/// group after that of the one before, from the range's first element on. No call has more than
/// `most` elements.
template <class Body>
void ForEachRuns(const Groups& groups, const GroupRange& range, uint64_t most, Body body) {
  for (uint64_t done = 0; done < range.elem_count;) {
    const uint64_t elem = range.first_elem + done;
    const uint64_t column = elem % groups.columns;
    const uint64_t left = std::min(groups.columns - column, range.elem_count - done);
    const uint64_t into = column % groups.width;
    uint64_t run = std::min({groups.width - into, left, most});
    uint64_t count = 1;
    if (run == groups.width) count = std::min(left, most) / run;
    body(done, run, count, groups.Of(elem));
    done += run * count;
  }
}

}  // namespace qstore::scheme
