// SPDX-License-Identifier: Apache-2.0
#include "suggest.h"

#include <algorithm>
#include <array>

namespace qstore::cli {

size_t EditDistance(std::string_view a, std::string_view b) {
  // Rows of the table of distances between beginnings: the two before, and the current one.
  std::array<std::vector<size_t>, 3> rows;
  for (auto& row : rows) row.resize(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) rows[1][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    const auto& [older, last, unused] = rows;
    auto& row = rows[2];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + changed});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], older[j - 2] + 1);
    }
    std::rotate(rows.begin(), rows.begin() + 1, rows.end());
  }
  return rows[1][b.size()];
}

std::string Closest(std::string_view word, const std::vector<std::string>& known) {
  std::string found;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& name : known) {
    const bool may_be_near =
        std::max(name.size(), word.size()) - std::min(name.size(), word.size()) < least;
    if (!may_be_near || name == word) continue;
    const size_t distance = EditDistance(word, name);
    if (distance >= least) continue;
    least = distance;
    found = name;
  }
  if (!found.empty() || word.size() < 3) return found;
  const auto longer = std::find_if(known.begin(), known.end(),
                                   [&](const std::string& name) { return name.starts_with(word); });
  return longer == known.end() ? "" : *longer;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& known) {
  const std::string meant = Closest(word, known);
  return meant.empty() ? "" : "; did you mean '" + meant + "'?";
}

}  // namespace qstore::cli
