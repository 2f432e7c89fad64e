// SPDX-License-Identifier: Apache-2.0
// What any load takes at least: memory_floor FILE BYTES [RUNS [THREADS]] times threads that touch
// BYTES of fresh huge pages, fill them, and read FILE meanwhile, decoding nothing.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "qstore/page_memory.h"

namespace {

constexpr size_t kBlock = size_t{1} << 21;  // A huge page.

struct Job {
  int file;
  size_t file_size;
  std::span<std::byte> memory;
  std::atomic<size_t> next{0};
};

void Work(Job* job) {
  const size_t blocks = (job->memory.size() + kBlock - 1) / kBlock;
  const size_t read_size = (job->file_size + blocks - 1) / blocks;
  std::vector<char> buffer(read_size);
  for (size_t b = job->next++; b < blocks; b = job->next++) {
    if (::pread(job->file, buffer.data(), read_size, static_cast<off_t>(b * read_size)) < 0) {
      std::abort();
    }
    const auto block = job->memory.subspan(b * kBlock);
    std::memset(block.data(), buffer[0], std::min(kBlock, block.size()));
  }
}

double Run(int file, size_t file_size, size_t bytes, unsigned threads) {
  const auto begin = std::chrono::steady_clock::now();
  auto memory = qstore::PageMemory::Allocate(bytes);
  if (!memory.ok()) std::abort();
  Job job{file, file_size, memory->bytes()};
  std::vector<std::thread> others(threads - 1);
  for (std::thread& other : others) other = std::thread(Work, &job);
  Work(&job);
  for (std::thread& other : others) other.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  const int file = argc < 3 ? -1 : ::open(argv[1], O_RDONLY);
  struct stat status;
  if (file < 0 || ::fstat(file, &status) != 0) {
    std::fprintf(stderr, "usage: memory_floor FILE BYTES [RUNS [THREADS]]\n");
    return 2;
  }
  const size_t bytes = std::strtoull(argv[2], nullptr, 10);
  const int runs = argc < 4 ? 15 : std::max(1, std::atoi(argv[3]));
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const unsigned threads =
      argc < 5 ? cores : static_cast<unsigned>(std::max(1, std::atoi(argv[4])));
  std::vector<double> seconds;
  Run(file, static_cast<size_t>(status.st_size), bytes,
      threads);  // The host gives memory back, see docs.
  for (int r = 0; r < runs; ++r) {
    seconds.push_back(Run(file, static_cast<size_t>(status.st_size), bytes, threads));
  }
  std::sort(seconds.begin(), seconds.end());
  std::printf("median %.4f s (%.4f to %.4f) of %d runs\n", seconds[seconds.size() / 2],
              seconds.front(), seconds.back(), runs);
  ::close(file);
  return 0;
}
