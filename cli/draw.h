// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace qstore::cli {

/// Draws the report.html of an analysis from its summary.json, by the program qstore-draw of the
/// Python package. Where that cannot be done, a line on standard error says what to install.
void DrawAnalysis(const std::string& directory);

/// Becomes qstore-draw, which finds `document` on its standard input. Returns an exit code only
/// when that cannot be done, after a line that says why.
int Draw(const std::string& document, std::vector<std::string> arguments);

}  // namespace qstore::cli
