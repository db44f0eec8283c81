#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <exception>
#include <string>

namespace gantry {
namespace {

constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%eZ %l %v";

spdlog::logger& logger() {
  static const bool set_up = [] {
    auto first = spdlog::stderr_logger_mt("gantry");
    first->set_pattern(kPattern, spdlog::pattern_time_type::utc);
    first->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(first));
    return true;
  }();
  static_cast<void>(set_up);
  return *spdlog::default_logger_raw();
}

}  // namespace

void set_log_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug: logger().set_level(spdlog::level::debug); return;
    case LogLevel::info: logger().set_level(spdlog::level::info); return;
    case LogLevel::warning: logger().set_level(spdlog::level::warn); return;
    case LogLevel::error: logger().set_level(spdlog::level::err); return;
  }
}

bool log_to_file(std::string_view path) {
  const auto level = logger().level();
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(std::string(path));
    auto next = std::make_shared<spdlog::logger>("gantry-file", std::move(sink));
    next->set_pattern(kPattern, spdlog::pattern_time_type::utc);
    next->set_level(level);
    next->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(next));
    return true;
  } catch (const std::exception&) {  // spdlog_ex, by a type that a program without spdlog links, too
    return false;
  }
}

void log_debug(std::string_view text) { logger().debug("{}", text); }
void log_info(std::string_view text) { logger().info("{}", text); }
void log_warning(std::string_view text) { logger().warn("{}", text); }
void log_error(std::string_view text) { logger().error("{}", text); }

}  // namespace gantry
