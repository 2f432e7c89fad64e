// SPDX-License-Identifier: Apache-2.0
#include "qstore/byte_source.h"

namespace qstore {

// Here, so that the class has one table of functions in the process.
ByteSource::~ByteSource() = default;

Status ByteSource::CheckUnchanged() const { return {}; }
std::string ByteSource::identity() const { return ""; }
void ByteSource::Interrupt() const {}

}  // namespace qstore
