// SPDX-License-Identifier: Apache-2.0
#include "remote/http_source.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <thread>
#include <utility>

#include "base/status_macros.h"
#include "remote/certificates.h"
#include "remote/http_answer.h"
#include "remote/http_options.h"
#include "remote/location.h"

namespace qstore::remote {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr size_t kProbe = 72;  // The header of an archive, with which every reader begins.
constexpr int kMostRedirects = 5;
constexpr double kBackoff =
    0.1;  // Seconds before the first retry; doubled before each further one.
constexpr double kLongestWait = 10;
constexpr double kPatience = 10;  // Timeouts that one read may take, beside what its bytes take.
constexpr double kEver = 1e9;
constexpr std::chrono::milliseconds kNap{50};

Clock::time_point After(double seconds) {
  return Clock::now() +
         std::chrono::duration_cast<Clock::duration>(Seconds(std::min(seconds, kEver)));
}

bool Differ(const std::string& a, const std::string& b) {
  return !a.empty() && !b.empty() && a != b;
}

// Between one half and one, so that many readers do not come again at the same time.
double Spread() {
  const auto ticks = static_cast<uint64_t>(Clock::now().time_since_epoch().count());
  return 0.5 + static_cast<double>((ticks * 0x9E3779B97F4A7C15) >> 40) / (1 << 25);
}

}  // namespace

bool HttpIdentity::Differs(const HttpIdentity& other) const {
  return size != other.size || Differ(etag, other.etag) ||
         Differ(last_modified, other.last_modified);
}

struct HttpSource::Target {
  HttpUrl url;
  bool must_be_public = false;
  const Target* before = nullptr;
};

/// One request of the rest of a read, and what came of it.
struct HttpSource::Attempt {
  uint64_t begin = 0;
  std::span<std::byte> out;
  uint64_t epoch = 0;
  Clock::time_point until;
  HttpOutcome outcome;
  double wait = 0;  // Seconds that the server asks for before another one.
};

HttpSource::HttpSource(std::string_view url, HttpOptions options)
    : name_(WithoutSecrets(url)), options_(std::move(options)) {}

HttpSource::~HttpSource() {
  for (const Target* target = target_; target != nullptr;) {
    const std::unique_ptr<const Target> last(target);
    target = last->before;
  }
}

Result<std::shared_ptr<const HttpSource>> HttpSource::Open(
    std::string_view url, HttpOptions options, std::function<bool(const std::string&)> is_public) {
  std::shared_ptr<HttpSource> source(new HttpSource(url, std::move(options)));
  const Status prepared = source->Prepare(url, std::move(is_public));
  if (!prepared.ok()) return prepared.WithContext(source->name_);
  source->head_.resize(kProbe);
  uint64_t received = 0;
  QSTORE_TRY(source->ReadSome(0, source->head_, &received));
  source->head_.resize(static_cast<size_t>(received));
  return std::shared_ptr<const HttpSource>(std::move(source));
}

Status HttpSource::Prepare(std::string_view url,
                           std::function<bool(const std::string&)> is_public) {
  QSTORE_TRY(CheckOptions(options_));
  QSTORE_ASSIGN(url_, ParseHttpUrl(url));
  connections_.set_settings({TrustedCertificates(options_.certificates), std::move(is_public)});
  agent_ = {"User-Agent: qstore/" QSTORE_VERSION};
  fields_ = FieldsOf(options_.headers);
  fields_.insert(fields_.begin(), agent_.begin(), agent_.end());
  return {};
}

std::string HttpSource::identity() const {
  return std::to_string(identity_.size) + " " + identity_.etag + " " + identity_.last_modified;
}

Status HttpSource::Read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size() || out.size() > size() - offset) {
    return InvalidArgument(name_ + ": read of " + std::to_string(out.size()) + " bytes at offset " +
                           std::to_string(offset) + " of " + std::to_string(size()));
  }
  if (offset + out.size() <= head_.size()) {
    std::copy_n(head_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }
  uint64_t filled = 0;
  return ReadSome(offset, out, &filled);
}

Status HttpSource::CheckUnchanged() const {
  std::vector<std::byte> head(std::max<size_t>(1, head_.size()));
  uint64_t filled = 0;
  Status status = ReadSome(0, head, &filled);
  return status.code() == ErrorCode::kSourceChanged ? status : Status();
}

Status HttpSource::ReadSome(uint64_t offset, std::span<std::byte> out, uint64_t* filled) const {
  const double seconds = options_.deadline > 0
                             ? options_.deadline
                             : kPatience * options_.timeout + SecondsFor(out.size());
  const Clock::time_point deadline = After(seconds);
  Attempt attempt;
  attempt.epoch = epoch_;
  for (unsigned failures = 0;
       *filled < out.size() && !(is_known_ && offset + *filled >= identity_.size);) {
    attempt.begin = offset + *filled;
    attempt.out = out.subspan(static_cast<size_t>(*filled));
    attempt.until = std::min(deadline, After(options_.timeout + SecondsFor(attempt.out.size())));
    attempt.outcome = {};
    attempt.wait = 0;
    const Status asked = Ask(&attempt);
    if (!asked.ok()) return asked.WithContext(name_);
    *filled += attempt.outcome.received;
    if (attempt.outcome.failure.empty()) continue;
    ++failures;
    const double pause =
        kBackoff * std::ldexp(Spread(), static_cast<int>(std::min(failures, 11U)) - 1);
    const double wait = std::min(std::max(pause, attempt.wait), kLongestWait);
    const bool is_late = After(wait) > deadline;
    if (failures > options_.retries || is_late || attempt.outcome.is_lasting) {
      return IoError(name_ + ": cannot read at offset " + std::to_string(offset + *filled) + ", " +
                     std::to_string(failures) + " times: " + attempt.outcome.failure +
                     (is_late ? ", and its time is over" : ""));
    }
    QSTORE_TRY(Pause(attempt, wait));
  }
  return {};
}

Status HttpSource::Ask(Attempt* attempt) const {
  QSTORE_ASSIGN(auto connection, connections_.Take());
  const Target* const known = target_;
  HttpRequest request;
  request.url = known == nullptr ? url_ : known->url;
  request.must_be_public = known != nullptr && known->must_be_public;
  request.first = attempt->begin;
  request.last = attempt->begin + attempt->out.size() - 1;
  request.until = attempt->until;
  request.silence = std::chrono::duration_cast<Clock::duration>(Seconds(options_.timeout));
  // Whatever other threads have found meanwhile.
  bool may_have_expired = known != nullptr;
  for (int asked = 0; asked <= kMostRedirects; ++asked, may_have_expired = false) {
    std::optional<HttpHead> redirect;
    bool is_expired = false;
    request.fields = request.url.origin() == url_.origin() ? fields_ : agent_;
    const auto on_head = [&](const HttpHead& head) -> Result<std::span<std::byte>> {
      is_expired = may_have_expired && IsExpired(head.status);
      if (is_expired) return std::span<std::byte>();
      if (IsRedirect(head.status)) {
        redirect = head;
        return std::span<std::byte>();
      }
      if (asked > 0 || known != nullptr) Remember(request.url, request.must_be_public);
      return CheckHead(head, attempt);
    };
    auto outcome = connection->Get(
        request, [&] { return GoesOn(attempt->epoch); }, on_head);
    if (!outcome.ok()) {
      connections_.GiveBack(std::move(connection));
      return outcome.status();
    }
    if (is_expired) {
      request.url = url_;
      request.must_be_public = false;
      continue;
    }
    if (!redirect) {
      if (attempt->outcome.failure.empty()) attempt->outcome = *outcome;
      connections_.GiveBack(std::move(connection));
      return {};
    }
    QSTORE_ASSIGN(HttpUrl next, FollowUrl(request.url, redirect->location));
    if (request.url.scheme == "https" && next.scheme != "https" && !options_.unsafe_redirects) {
      return IoError("redirected from https to http");
    }
    request.must_be_public |= redirect->is_public && !options_.unsafe_redirects;
    request.url = std::move(next);
  }
  return IoError("more than " + std::to_string(kMostRedirects) + " redirects");
}

Result<std::span<std::byte>> HttpSource::CheckHead(const HttpHead& head, Attempt* attempt) const {
  const std::span<std::byte> nothing;
  if (head.status == 404 || head.status == 410) {
    return is_known_ ? SourceChanged("was removed while it was read")
                     : NotFound("the server knows no such file");
  }
  if (IsPassing(head.status)) {
    attempt->wait = RetryAfter(head);
    attempt->outcome.failure = Answer(head);
    return nothing;
  }
  if (head.status == 200) return IoError("the server ignores Range: it sends whole files only");
  if (head.status != 206 && head.status != 416) return IoError(Answer(head));
  if (!head.content_encoding.empty() && head.content_encoding != "identity") {
    return IoError("the server compresses what it sends of a range");
  }
  const auto range = ParseContentRange(head.content_range);
  if (!range) return IoError(Answer(head) + " without a Content-Range that tells all");
  QSTORE_TRY(CheckIdentity({range->size, head.etag, head.last_modified}));
  if (head.status == 416 || !range->bytes) {
    if (attempt->begin >= range->size) return nothing;
    return IoError("the server refuses bytes from " + std::to_string(attempt->begin) + " of " +
                   std::to_string(range->size));
  }
  const auto [first, last] = *range->bytes;
  const uint64_t end = std::min<uint64_t>(attempt->begin + attempt->out.size(), range->size);
  if (first != attempt->begin || last < first || last >= end) {
    return IoError("asked for bytes " + std::to_string(attempt->begin) + "-" +
                   std::to_string(attempt->begin + attempt->out.size() - 1) + ", the server sent " +
                   std::to_string(first) + "-" + std::to_string(last));
  }
  return attempt->out.first(static_cast<size_t>(last - first + 1));
}

Status HttpSource::CheckIdentity(HttpIdentity identity) const {
  if (is_known_ && identity_.Differs(identity)) return SourceChanged("changed while it was read");
  if (!is_known_) {
    identity_ = std::move(identity);
    is_known_ = true;
  }
  return {};
}

// No longer than until reading is interrupted.
Status HttpSource::Pause(const Attempt& attempt, double seconds) const {
  for (const auto until = After(seconds); Clock::now() < until;) {
    if (!GoesOn(attempt.epoch)) return Cancelled().WithContext(name_);
    std::this_thread::sleep_for(std::min<Clock::duration>(kNap, until - Clock::now()));
  }
  return {};
}

bool HttpSource::GoesOn(uint64_t epoch) const {
  return epoch == epoch_ && (!options_.go_on || options_.go_on());
}

double HttpSource::SecondsFor(uint64_t bytes) const {
  return options_.least_rate > 0 ? static_cast<double>(bytes) / options_.least_rate : kEver;
}

void HttpSource::Remember(const HttpUrl& url, bool must_be_public) const {
  const Target* before = target_;
  // Those before stay, since other threads may read them: there is one for each redirect that has
  // expired.
  if (before != nullptr && before->url.text == url.text &&
      before->must_be_public == must_be_public) {
    return;
  }
  auto target = std::make_unique<Target>(Target{url, must_be_public, before});
  while (!target_.compare_exchange_weak(target->before, target.get())) {
  }
  static_cast<void>(target.release());
}

}  // namespace qstore::remote
