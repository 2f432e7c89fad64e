// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/kernels/row_kernels.h"

namespace qstore::codec {
namespace {

void AddColumns(const float* columns, size_t stride, const float* factors, size_t n,
                float* __restrict sums) {
  for (size_t i = 0; i < n; ++i) {
    float sum = sums[i];
    for (size_t c = 0; c < kRowColumns; ++c) sum += factors[c] * columns[c * stride + i];
    sums[i] = sum;
  }
}

// Four columns, which share no memory: a compiler can be told so only of pointers of their own.
void ReviseFour(const float* factors, const float* gains, size_t stride, size_t n, float* columns,
                float* __restrict values) {
  float* __restrict a = columns;
  float* __restrict b = columns + stride;
  float* __restrict c = columns + 2 * stride;
  float* __restrict d = columns + 3 * stride;
  const float fa = factors[0], fb = factors[1], fc = factors[2], fd = factors[3];
  const float ga = gains[0], gb = gains[1], gc = gains[2], gd = gains[3];
  for (size_t i = 0; i < n; ++i) {
    float value = values[i];
    value -= fa * a[i];
    a[i] += ga * value;
    value -= fb * b[i];
    b[i] += gb * value;
    value -= fc * c[i];
    c[i] += gc * value;
    value -= fd * d[i];
    d[i] += gd * value;
    values[i] = value;
  }
}

void ReviseColumns(const float* factors, const float* gains, size_t stride, size_t n,
                   float* columns, float* values) {
  static_assert(kRowColumns == 8);
  ReviseFour(factors, gains, stride, n, columns, values);
  ReviseFour(factors + 4, gains + 4, stride, n, columns + 4 * stride, values);
}

}  // namespace
}  // namespace qstore::codec
