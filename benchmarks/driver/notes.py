# SPDX-License-Identifier: Apache-2.0
"""What a reader of the report has to know about how it was measured."""

NOTES = (
    "Every load ends with the tensors in memory that nothing had touched before, checksums of "
    "QStore's chunks verified; what was loaded is compared with the original outside the time.",
    "Times are medians, with the fastest and the slowest run in brackets. Runs of all systems are "
    "interleaved in rounds. Nothing is synced to the disk when saving.",
    "Before each run as much memory as it may need is touched and freed: virtual machines may hand "
    "free memory back to their host, and getting it again costs more than any loader does.",
    "QStore needs the 8-bit model to load the 16-bit one; the others load the 16-bit file alone. "
    "ZipNN has only the 16-bit file.",
    "Stored alone means an archive with the 16-bit model and nothing else. F16 models are drawn, "
    "cast from F32 or trained as such, not cast from BF16. A size of ZipNN stored alone is that of "
    "the smallest of the ways its README has; its times are those of the fastest.",
    "lmz, ZipNN and safetensors run in Python processes that have them loaded. lmz loads by its "
    "decompress, with as many threads as the others have, to files in memory (/dev/shm), which is "
    "its fastest way; behind a bandwidth by its ArchiveIndex. Its archive of both models is one of "
    "a folder with both.",
    "uncompressed is read by as many threads as the others have; a program that reads its files "
    "one after another does what one thread does.",
    "lz4 and zstd compress chunks of 1 MiB with all threads, by their C libraries. safetensors "
    "clones each tensor out of the mapped file, and saves tensors that are in memory already.",
    "A bandwidth is a token bucket in the reading process, over files in the page cache. With it "
    "safetensors reads the whole file and parses the bytes.",
    "Cold files are dropped from the page cache before each run, and looked at with mincore. "
    "The system throttles the drive, where it permits that, by a cgroup: io.max, or blkio in v1.",
)
