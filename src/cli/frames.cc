#include "cli/frames.h"

#include <algorithm>
#include <climits>

#include "base/strings.h"

namespace gantry::cli {

namespace {

constexpr size_t kHeaderSize = 8;
constexpr char kExitCode = 4;
constexpr size_t kMostDigits = 10;

size_t payload_size(const std::string& header) {
  size_t size = 0;
  for (size_t i = 4; i < kHeaderSize; ++i) size = size << 8 | static_cast<unsigned char>(header[i]);
  return size;
}

}  // namespace

bool FrameReader::add(std::string_view bytes) {
  if (raw_) {
    if (!bytes.empty()) receive_(StreamKind::stdout_stream, bytes);
    return true;
  }
  while (!bytes.empty()) {
    if (payload_left_ == 0) {
      const size_t take = std::min(kHeaderSize - header_.size(), bytes.size());
      header_ += bytes.substr(0, take);
      bytes.remove_prefix(take);
      if (header_.size() < kHeaderSize) return true;
      // 0 is standard input, which nobody sends back, 3 an error of the daemon: shown as standard error.
      if (static_cast<unsigned char>(header_[0]) > kExitCode || header_[1] != 0) return false;
      is_exit_code_ = header_[0] == kExitCode;
      kind_ = header_[0] <= 1 ? StreamKind::stdout_stream : StreamKind::stderr_stream;
      payload_left_ = payload_size(header_);
      header_.clear();
      continue;
    }
    const size_t take = std::min(payload_left_, bytes.size());
    take_payload(bytes.substr(0, take));
    bytes.remove_prefix(take);
    payload_left_ -= take;
  }
  return true;
}

void FrameReader::take_payload(std::string_view part) {
  if (!is_exit_code_) return receive_(kind_, part);
  exit_code_ += part.substr(0, kMostDigits - std::min(kMostDigits, exit_code_.size()));
}

std::optional<int> FrameReader::exit_code() const {
  const auto code = parse_unsigned(exit_code_);
  return code && *code <= INT_MAX ? std::optional<int>(static_cast<int>(*code)) : std::nullopt;
}

void LineSplitter::add(StreamKind kind, std::string_view bytes) {
  std::string& kept = rest(kind);
  for (size_t end; (end = bytes.find('\n')) != std::string_view::npos; bytes.remove_prefix(end + 1)) {
    std::string_view line = bytes.substr(0, end);
    if (kept.empty()) {
      receive_(kind, line);
    } else {
      kept += line;
      const std::string whole = std::move(kept);
      kept.clear();
      receive_(kind, whole);
    }
  }
  kept += bytes;
}

void LineSplitter::finish() {
  for (const StreamKind kind : {StreamKind::stdout_stream, StreamKind::stderr_stream}) {
    if (!rest(kind).empty()) receive_(kind, rest(kind));
    rest(kind).clear();
  }
}

}  // namespace gantry::cli
