// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qstore::cli {

/// Letters to insert, remove, change or swap with their neighbour to make `a` of `b`.
size_t EditDistance(std::string_view a, std::string_view b);

/// The word that was probably meant, or nothing. Of equally near ones the first.
std::string Closest(std::string_view word, const std::vector<std::string>& known);

/// "; did you mean 'pack'?", or nothing.
std::string DidYouMean(std::string_view word, const std::vector<std::string>& known);

}  // namespace qstore::cli
