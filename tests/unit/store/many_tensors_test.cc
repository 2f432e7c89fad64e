// SPDX-License-Identifier: Apache-2.0
// What models of very many tiny tensors cost: calls and memory, which grow with bytes and names.
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <optional>

#include "io/file.h"
#include "store/archive_file.h"
#include "store/read_windows.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

constexpr size_t kTensors = 4000;
constexpr size_t kElems = 24;

// Counts the calls that read of an archive.
class CountingSource final : public ByteSource {
 public:
  explicit CountingSource(std::string bytes) : bytes_(std::move(bytes)), source_(bytes_) {}
  uint64_t size() const override { return source_.size(); }
  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    ++reads;
    return source_.Read(offset, out);
  }
  mutable std::atomic<size_t> reads = 0;

 private:
  std::string bytes_;
  MemorySource source_;
};

// Calls by which this process has read files, where the system tells.
std::optional<uint64_t> ReadCalls() {
  std::ifstream counts("/proc/self/io");
  std::string name;
  uint64_t count = 0;
  while (counts >> name >> count) {
    if (name == "syscr:") return count;
  }
  return std::nullopt;
}

// Tensors of one shape, laid out in the order of their names. With `second` some bits are others.
void WriteMany(const fs::path& path, bool second) {
  std::vector<io::SafetensorsTensor> entries;
  for (size_t i = 0; i < kTensors; ++i) {
    entries.push_back({"layers." + std::to_string(i) + ".w", DType::kBF16, {kElems}});
  }
  auto layout = io::LayOutSafetensors(std::move(entries), {});
  ASSERT_TRUE(layout.ok());
  std::vector<std::byte> content = RandomBytes(kTensors * kElems * 2, 1);
  for (size_t i = 0; second && i < content.size(); i += 64) content[i] ^= std::byte{1};
  WriteFile(path, layout->prefix +
                      std::string(reinterpret_cast<const char*>(content.data()), content.size()));
}

class ManyTensors : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteMany(dir_ / "a/model.safetensors", false);
    WriteMany(dir_ / "b/model.safetensors", true);
  }

  Status PackBoth() const {
    PackOptions options;
    options.sync = false;
    const std::vector<VariantSource> variants = {{"a", dir_ / "a"}, {"b", dir_ / "b"}};
    return Pack(variants, dir_ / "m.qstore", options).status();
  }

  TempDir dir_;
};

TEST_F(ManyTensors, ComeBackAsTheyWere) {
  ASSERT_TRUE(PackBoth().ok());
  const auto archive = Archive::Open(dir_ / "m.qstore");
  ASSERT_TRUE(archive.ok()) << archive.status().ToString();
  EXPECT_EQ(Unpacked(*archive, "a"), ReadTree(dir_ / "a"));
  EXPECT_EQ(Unpacked(*archive, "b"), ReadTree(dir_ / "b"));
}

TEST_F(ManyTensors, PackingReadsManyAtATime) {
  const auto before = ReadCalls();
  if (!before) return;  // The system does not count calls.
  const Status status = PackBoth();
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_LT(*ReadCalls() - *before, kTensors);
}

TEST_F(ManyTensors, LoadsReadManyAtATime) {
  PackOptions options;
  options.sync = false;
  ASSERT_TRUE(Pack(std::vector<VariantSource>{{"a", dir_ / "a"}}, dir_ / "m.qstore", options).ok());
  const auto source = std::make_shared<CountingSource>(ReadFile(dir_ / "m.qstore"));
  auto archive = Archive::Open(source, "many");
  ASSERT_TRUE(archive.ok()) << archive.status().ToString();
  source->reads = 0;
  const auto loaded = archive->Load(std::vector<size_t>{0}, 2);
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_LT(source->reads, kTensors / 20);
  EXPECT_EQ(Unpacked(*archive, "a"), ReadTree(dir_ / "a"));
}

// What an open archive takes for a tensor, and what a load of it takes beside.
TEST_F(ManyTensors, TakeLittleMemoryEach) {
  constexpr uint64_t kIndexBytes = 260;
  constexpr uint64_t kPlanBytes = 220;
  ASSERT_TRUE(PackBoth().ok());
  const auto archive = Archive::Open(dir_ / "m.qstore");
  ASSERT_TRUE(archive.ok());
  const uint64_t taken = OpenOptions().max_memory - archive->impl().MemoryLeft();
  EXPECT_LT(taken, 2 * kTensors * kIndexBytes);
  OpenOptions options;
  options.max_memory = taken + 2 * kTensors * kPlanBytes + (uint64_t{4} << 20);
  const auto again = Archive::Open(dir_ / "m.qstore", options);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  const auto loaded = again->Load(std::vector<size_t>{0, 1}, 1);
  EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
}

TEST(ReadWindows, AnyReadIsThatOfTheFile) {
  const TempDir dir;
  const std::vector<std::byte> bytes = RandomBytes(100000, 3);
  WriteFile(dir / "file", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const auto file = io::SourceFile::Open(dir / "file");
  ASSERT_TRUE(file.ok());
  store::ReadWindows windows;
  std::mt19937 random(4);
  for (int i = 0; i < 3000; ++i) {
    const size_t size = random() % (i % 10 == 0 ? 9000 : 300);
    const size_t offset = random() % (bytes.size() - size + 1);
    std::vector<std::byte> out(size);
    ASSERT_TRUE(windows.Read(**file, offset, out).ok());
    ASSERT_TRUE(std::equal(out.begin(), out.end(), bytes.begin() + static_cast<long>(offset)));
  }
  std::vector<std::byte> out(2);
  EXPECT_TRUE(windows.Read(**file, bytes.size() - 2, out).ok());
  EXPECT_EQ(windows.Read(**file, bytes.size() - 1, out).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(windows.Read(**file, UINT64_MAX, out).code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace qstore
