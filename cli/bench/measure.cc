// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "cli/terminal.h"
#include "cli/values.h"
#include "page_cache.h"
#include "posix_file.h"
#include "qstore/archive.h"

namespace qstore::cli {
namespace {

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Compressed files become some times as large in memory.
uint64_t MemoryFor(std::span<const std::filesystem::path> files) {
  constexpr uint64_t kMost = uint64_t{1} << 30;
  uint64_t size = 0;
  for (const std::filesystem::path& file : files) {
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(file, error);
    if (!error) size += std::min(kMost, bytes);
  }
  return std::min(kMost, 3 * size);
}

// Touches `size` bytes of huge pages and frees them. Virtual machines may hand free memory back to
// their host within seconds (free page reporting); getting it again takes the next one to touch it
// up to ten times as long as clearing it does. Does nothing where there is no such memory.
void BackMemory(uint64_t size) {
  FreshMemory memory;
  if (!memory.Allocate(size, true).ok()) return;
  constexpr size_t kPage = 4096;
  for (size_t at = 0; at < memory.bytes().size(); at += kPage) memory.bytes()[at] = std::byte{1};
}

double ToSeconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

}  // namespace

void AddRunOptions(CLI::App* command, MeasureOptions* options) {
  command->add_option("--runs", options->runs, "How many runs to time")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  AddThreads(command, &options->threads);
  AddJson(command, &options->json);
}

void AddReadOptions(CLI::App* command, MeasureOptions* options) {
  command->add_flag("--cold", options->cold,
                    "Take the files out of the page cache before each run");
  TakeRate(command->add_option("--bandwidth", options->bandwidth_mib,
                               "Read no faster, such as 200MB/s; a number alone is in MiB/s"));
  command->add_flag("--huge-pages", options->huge_pages, "Load into huge pages");
  command->add_flag("--no-backing", options->no_backing,
                    "Do not touch and free memory before each run; that memory counts in the peak");
}

FreshMemory::~FreshMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Status FreshMemory::Allocate(uint64_t size, bool huge_pages) {
  if (size == 0) return {};
  void* map = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return SystemError("memory", "cannot allocate");
  if (huge_pages) ::madvise(map, size, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(map);
  size_ = size;
  return {};
}

RunClock::RunClock() : usage_(UsageNow()), start_(Clock::now()), stage_(start_) {}

RunClock::Usage RunClock::UsageNow() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return {ToSeconds(usage.ru_utime), ToSeconds(usage.ru_stime),
          static_cast<uint64_t>(usage.ru_minflt + usage.ru_majflt)};
}

void RunClock::EndStage(const char* name) {
  const auto now = Clock::now();
  stages_.emplace_back(name, std::chrono::duration<double>(now - stage_).count());
  stage_ = now;
}

void RunClock::Stop() {
  seconds_ = std::chrono::duration<double>(Clock::now() - start_).count();
  const Usage now = UsageNow();
  usage_ = {now.user - usage_.user, now.system - usage_.system,
            now.page_faults - usage_.page_faults};
}

Measurement::Measurement(const MeasureOptions& options)
    : options_(options), bucket_(options.bandwidth_mib * (1 << 20)) {}

Status Measurement::Prepare(std::span<const std::filesystem::path> files) {
  if (!options_.cold) return WarmPages(files);
  const auto share = DropPages(files);
  if (!share.ok()) return share.status();
  resident_share_ = std::max(resident_share_, *share);
  return {};
}

Status Measurement::Repeat(std::span<const std::filesystem::path> files, const Once& once) {
  for (unsigned run = 0; run < options_.runs; ++run) {
    if (StopRequested()) return {ErrorCode::kCancelled, "stopped"};
    if (const Status status = Prepare(files); !status.ok()) return status;
    if (!options_.no_backing) BackMemory(MemoryFor(files));
    bucket_.Restart();
    RunClock clock;
    if (const Status status = once(&clock); !status.ok()) return status;
    runs_.push_back(std::move(clock));
  }
  return {};
}

std::vector<double> Measurement::Seconds() const {
  std::vector<double> seconds;
  for (const RunClock& run : runs_) seconds.push_back(run.seconds_);
  return seconds;
}

void Measurement::AddTo(JsonWriter* document) const {
  const auto median_of = [this](const auto& value) {
    std::vector<double> values;
    for (const RunClock& run : runs_) values.push_back(value(run));
    return Median(values);
  };
  const std::vector<double> seconds = Seconds();
  document->Add("median_s", Median(seconds));
  document->Add("min_s", *std::min_element(seconds.begin(), seconds.end()));
  document->Add("max_s", *std::max_element(seconds.begin(), seconds.end()));
  document->Add("runs", seconds);
  document->BeginObject("stages_s");
  for (size_t s = 0; s < runs_.front().stages_.size(); ++s) {
    document->Add(runs_.front().stages_[s].first,
                  median_of([&](const RunClock& run) { return run.stages_[s].second; }));
  }
  document->End();
  document->Add("user_s", median_of([](const RunClock& run) { return run.usage_.user; }));
  document->Add("system_s", median_of([](const RunClock& run) { return run.usage_.system; }));
  document->Add("page_faults", median_of([](const RunClock& run) {
                  return static_cast<double>(run.usage_.page_faults);
                }));
  document->Add("threads", ThreadsOf(options_.threads));
  document->Add("isa", InstructionSet());
  document->Add("cold", options_.cold);
  document->Add("huge_pages", options_.huge_pages);
  document->Add("resident_share", options_.cold ? resident_share_ : 1);
  if (options_.bandwidth_mib > 0) {
    document->Add("bandwidth_mib", options_.bandwidth_mib);
  } else {
    document->Add("bandwidth_mib", nullptr);
  }
}

void Measurement::Print(const std::string& what, uint64_t bytes, uint64_t stored_bytes) const {
  const std::vector<double> seconds = Seconds();
  const double median = Median(seconds);
  std::printf(
      "%s: median %.4f s (%.4f to %.4f) of %zu runs; %s raw, %s stored; %.0f MB/s; %u "
      "threads, %s\n",
      Printable(what).c_str(), median, *std::min_element(seconds.begin(), seconds.end()),
      *std::max_element(seconds.begin(), seconds.end()), seconds.size(), HumanBytes(bytes).c_str(),
      HumanBytes(stored_bytes).c_str(), static_cast<double>(bytes) / median / 1e6,
      ThreadsOf(options_.threads), std::string(InstructionSet()).c_str());
  if (options_.cold) {
    std::printf("  cold: at most %.2f %% of the pages were in memory before a run\n",
                100 * resident_share_);
  }
}

unsigned ThreadsOf(unsigned requested) {
  return requested != 0 ? requested : std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace qstore::cli
