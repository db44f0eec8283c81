#include "daemon/docker/progress_stream.h"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "daemon/docker/answers.h"

namespace gantry::daemon::docker {
namespace {

// Four significant digits, decimal units.
std::string human_size(uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000.0 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.4g%s", value, kUnits[unit]);
  return text;
}

}  // namespace

std::string progress_bar(uint64_t current, uint64_t total) {
  if (current == 0 && total == 0) return "";
  if (total == 0) return human_size(current);
  constexpr size_t kWidth = 50;
  const auto filled =
      static_cast<size_t>(static_cast<double>(std::min(current, total)) / static_cast<double>(total) * kWidth);
  std::string bar = "[" + std::string(filled, '=');
  if (filled < kWidth) bar += ">" + std::string(kWidth - filled - 1, ' ');
  return bar + "]  " + human_size(current) + "/" + human_size(total);
}

void ProgressStream::write(const std::string& text) {
  if (broken_) return;
  if (!begun_) {
    begun_ = true;
    if (!exchange_.begin(200, kJson).ok()) broken_ = true;
  }
  if (!broken_ && !exchange_.write(text).ok()) broken_ = true;
}

void ProgressStream::send(const nlohmann::json& line) {
  std::string text = to_line(line);
  text.insert(text.size() - 1, "\r");
  const std::lock_guard lock(mutex_);
  write(text);
}

Result<> ProgressStream::finish(const Result<>& outcome, int exit_code) {
  const std::lock_guard lock(mutex_);
  if (!outcome.ok() && !begun_) return outcome;
  if (!outcome.ok()) write(error_line(outcome.error(), exit_code));
  if (!begun_) write("");
  if (broken_) return {};
  return exchange_.end();
}

}  // namespace gantry::daemon::docker
