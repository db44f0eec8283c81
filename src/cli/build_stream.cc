#include "cli/image_build.h"

namespace gantry::cli {

namespace {

constexpr size_t kShownOutputLines = 40;

// Colours of the daemon's stream (standard error is wrapped in red) have no place in rows and error texts.
std::string without_escapes(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b' && i + 1 < text.size() && text[i + 1] == '[') {
      i += 2;
      while (i < text.size() && (text[i] < '@' || text[i] > '~')) ++i;
    } else if (text[i] != '\r') {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace

bool BuildStream::line(std::string_view json) {
  auto message = parse_stream_message(json);
  if (!message.ok()) {
    error_ = message.error().message();
    return false;
  }
  if (!message->aux_id.empty()) image_id_ = message->aux_id;
  if (!message->stream.empty()) text(message->stream);
  if (message->stream.empty() && !message->status.empty() && message->total == 0) {
    text((message->id.empty() ? "" : message->id + ": ") + message->status + "\n");  // a base image is pulled
  }
  if (message->error.empty()) return true;
  error_ = message->error;
  error_code_ = message->error_code;
  return false;
}

void BuildStream::text(std::string_view bytes) {
  partial_ += bytes;
  for (size_t end; (end = partial_.find('\n')) != std::string::npos; partial_.erase(0, end + 1)) {
    const std::string line = without_escapes(std::string_view(partial_).substr(0, end));
    if (line.empty()) continue;
    if (line.starts_with("Step ")) {
      step_ = line;
      step_output_.clear();
    } else {
      step_output_.push_back(line);
    }
    lines_.push_back(line);
  }
}

std::vector<std::string> BuildStream::take_lines() { return std::exchange(lines_, {}); }

std::string BuildStream::failure() const {
  std::string text;
  if (!step_.empty()) text += step_ + "\n";
  const size_t skipped = step_output_.size() > kShownOutputLines ? step_output_.size() - kShownOutputLines : 0;
  if (skipped > 0) text += "  ... " + std::to_string(skipped) + " lines before\n";
  for (size_t i = skipped; i < step_output_.size(); ++i) text += "  " + step_output_[i] + "\n";
  if (!partial_.empty()) text += "  " + without_escapes(partial_) + "\n";
  return text + error_;
}

}  // namespace gantry::cli
