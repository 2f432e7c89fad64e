// SPDX-License-Identifier: Apache-2.0
#include "store/read_windows.h"

#include <algorithm>

#include "base/status_macros.h"

namespace qstore::store {
namespace {

constexpr uint64_t kWindowBytes = 4 * ReadWindows::kShort;

}  // namespace

Status ReadWindows::Read(const ByteSource& file, uint64_t offset, std::span<std::byte> out) {
  const bool is_inside = offset <= file.size() && out.size() <= file.size() - offset;
  if (out.empty() || out.size() > kShort || !is_inside) return file.Read(offset, out);
  const auto has = [&](const Window& window) {
    return window.file == &file && window.begin <= offset &&
           offset + out.size() <= window.begin + window.bytes.size();
  };
  auto window = std::ranges::find_if(windows_, has);
  if (window == windows_.end()) {
    window = std::ranges::min_element(windows_, {}, &Window::last_use);
    window->file = nullptr;
    window->bytes.resize(static_cast<size_t>(std::min(kWindowBytes, file.size() - offset)));
    QSTORE_TRY(file.Read(offset, window->bytes));
    window->file = &file;
    window->begin = offset;
  }
  window->last_use = ++uses_;
  const auto from = window->bytes.begin() + static_cast<ptrdiff_t>(offset - window->begin);
  std::copy_n(from, out.size(), out.begin());
  return {};
}

}  // namespace qstore::store
