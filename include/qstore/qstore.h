// SPDX-License-Identifier: Apache-2.0
#pragma once

/// All of the library.
#include "qstore/archive.h"         // IWYU pragma: export
#include "qstore/blocks.h"          // IWYU pragma: export
#include "qstore/byte_source.h"     // IWYU pragma: export
#include "qstore/change.h"          // IWYU pragma: export
#include "qstore/checkpoint.h"      // IWYU pragma: export
#include "qstore/dequantize.h"      // IWYU pragma: export
#include "qstore/dtype.h"           // IWYU pragma: export
#include "qstore/estimate.h"        // IWYU pragma: export
#include "qstore/file_reader.h"     // IWYU pragma: export
#include "qstore/get.h"             // IWYU pragma: export
#include "qstore/gguf.h"            // IWYU pragma: export
#include "qstore/level.h"           // IWYU pragma: export
#include "qstore/loaded_tensors.h"  // IWYU pragma: export
#include "qstore/pack.h"            // IWYU pragma: export
#include "qstore/page_memory.h"     // IWYU pragma: export
#include "qstore/progress.h"        // IWYU pragma: export
#include "qstore/read_queue.h"      // IWYU pragma: export
#include "qstore/round.h"           // IWYU pragma: export
#include "qstore/source.h"          // IWYU pragma: export
#include "qstore/status.h"          // IWYU pragma: export
#include "qstore/unpack.h"          // IWYU pragma: export
#include "qstore/verify.h"          // IWYU pragma: export
