// SPDX-License-Identifier: Apache-2.0
// Any damage to an archive is an error, and never yields wrong bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "archive/scratch_dir.h"
#include "qstore/archive.h"
#include "qstore/unpack.h"
#include "qstore/verify.h"

namespace qstore {
namespace {

using Tree = std::map<std::string, std::string>;

constexpr int kFlips = 1000;
constexpr int kTruncations = 200;

class Damage : public ::testing::Test {
 protected:
  void SetUp() override {
    intact_ = testing::ReadFile(std::filesystem::path(QSTORE_GOLDEN) / "valid" / "pair.qstore");
    ASSERT_GT(intact_.size(), 1000u);
    testing::WriteFile(archive_, intact_);
    auto archive = Archive::Open(archive_);
    ASSERT_TRUE(archive.ok()) << archive.status().ToString();
    ASSERT_TRUE(Verify(*archive).ok());
    for (size_t i = 0; i < archive->variant_count(); ++i) {
      const std::string name(archive->variant(i).name);
      ASSERT_TRUE(UnpackFrom(*archive, name).ok());
      originals_[name] = testing::ReadTree(out_);
      std::filesystem::remove_all(out_);
    }
    ASSERT_EQ(originals_.size(), 2u);
  }

  Status UnpackFrom(const Archive& archive, const std::string& variant) {
    UnpackOptions options;
    options.threads = 1;
    options.sync = false;
    return Unpack(archive, variant, out_, options).status();
  }

  // Verifying must fail with a message that names the file; unpacking may succeed where the damage
  // lies elsewhere, and then every byte is right.
  void ExpectNoticed(const std::string& damaged) {
    testing::WriteFile(archive_, damaged);
    auto archive = Archive::Open(archive_);
    if (!archive.ok()) {
      ExpectNamesTheFile(archive.status());
      return;
    }
    VerifyOptions options;
    options.threads = 1;
    const auto verified = Verify(*archive, {}, options);
    ASSERT_FALSE(verified.ok());
    ExpectNamesTheFile(verified.status());
    for (const auto& [name, tree] : originals_) {
      const Status status = UnpackFrom(*archive, name);
      if (status.ok()) {
        EXPECT_TRUE(testing::ReadTree(out_) == tree) << name;
        std::filesystem::remove_all(out_);
      } else {
        EXPECT_FALSE(std::filesystem::exists(out_)) << "left behind after: " << status.ToString();
      }
      ++(status.ok() ? unpacked_ : refused_);
    }
    const auto entries = std::filesystem::directory_iterator(dir_.path());
    EXPECT_EQ(std::distance(begin(entries), end(entries)), 1) << "something left behind";
  }

  void ExpectNamesTheFile(const Status& status) {
    EXPECT_NE(status.message().find("damaged.qstore"), std::string::npos) << status.ToString();
  }

  testing::ScratchDir dir_;
  std::filesystem::path archive_ = dir_.path() / "damaged.qstore";
  std::filesystem::path out_ = dir_.path() / "out";
  std::string intact_;
  std::map<std::string, Tree> originals_;
  int unpacked_ = 0;
  int refused_ = 0;
};

TEST_F(Damage, AThousandBitFlips) {
  std::mt19937_64 random(1);
  for (int i = 0; i < kFlips && !HasFatalFailure(); ++i) {
    std::string damaged = intact_;
    const size_t bit = random() % (damaged.size() * 8);
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    SCOPED_TRACE("bit " + std::to_string(bit % 8) + " of byte " + std::to_string(bit / 8));
    ExpectNoticed(damaged);
  }
  // Both kinds of outcome were seen: damage outside a variant does not keep it from being restored.
  EXPECT_GT(unpacked_, 10);
  EXPECT_GT(refused_, 10);
}

TEST_F(Damage, TwoHundredTruncations) {
  std::vector<size_t> lengths = {0, 1, 7, 8, 23, 24, 25, intact_.size() - 1, intact_.size() - 8};
  std::mt19937_64 random(2);
  while (lengths.size() < kTruncations) lengths.push_back(random() % intact_.size());
  for (const size_t length : lengths) {
    SCOPED_TRACE("cut to " + std::to_string(length));
    ExpectNoticed(intact_.substr(0, length));
  }
}

TEST_F(Damage, PartsLostDoubledSwappedOrZeroed) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 200 && !HasFatalFailure(); ++i) {
    const size_t at = random() % intact_.size();
    const size_t length = 1 + random() % std::min<size_t>(intact_.size() - at, 5000);
    SCOPED_TRACE(std::to_string(length) + " bytes at " + std::to_string(at));
    const std::string part = intact_.substr(at, length);
    std::string damaged = intact_;
    switch (i % 4) {
      case 0:
        damaged.erase(at, length);
        break;
      case 1:
        damaged.insert(at, part);
        break;
      case 2:
        std::reverse(damaged.begin() + static_cast<ptrdiff_t>(at),
                     damaged.begin() + static_cast<ptrdiff_t>(at + length));
        break;
      default:
        damaged.replace(at, length, std::string(length, '\0'));
    }
    if (damaged != intact_) ExpectNoticed(damaged);
  }
}

TEST_F(Damage, BytesBehindTheEnd) {
  ExpectNoticed(intact_ + '\0');
  ExpectNoticed(intact_ + intact_);
  ExpectNoticed(intact_ + std::string(100000, 'x'));
}

}  // namespace
}  // namespace qstore
