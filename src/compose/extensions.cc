#include "compose/extensions.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "compose/values.h"

namespace gantry::compose {
namespace {

constexpr const char* kHealthExtension = "x-healthcheck";
constexpr const char* kStop = "x-stop";
constexpr const char* kStopLabel = "dev.gantry.stop";  // what the engine looks for
constexpr std::array<std::string_view, 3> kKinds = {"http", "tcp", "log"};
constexpr std::array<std::string_view, 5> kTimes = {"interval", "timeout", "start_period", "start_interval", "retries"};
constexpr std::array<std::string_view, 4> kHttpKeys = {"port", "path", "status", "address"};

template <size_t N>
bool is_one_of(std::string_view key, const std::array<std::string_view, N>& keys) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

bool is_port(std::string_view text) {
  const auto number = parse_unsigned(text);
  return number && *number >= 1 && *number <= 65535;
}

// "8080", ":8080/path", "127.0.0.1:8080/path" or a whole address.
std::string http_address(const std::string& text) {
  if (text.starts_with("http://")) return text;
  if (is_port(text)) return "http://127.0.0.1:" + text + "/";
  return "http://" + std::string(text.starts_with(':') ? "127.0.0.1" : "") + text;
}

std::vector<std::string> http_test(const Node& http) {
  if (http.is_scalar()) return {"HTTP", http_address(http.text)};
  const std::string port = http.has("port") ? http.text_of("port") : "80";
  const std::string address = http.has("address") ? http.text_of("address") : "127.0.0.1";
  std::string path = http.text_of("path");
  if (!path.starts_with('/')) path.insert(0, "/");
  std::vector<std::string> test = {"HTTP", "http://" + address + ":" + port + path};
  if (http.has("status")) test.push_back(http.text_of("status"));
  return test;
}

std::vector<std::string> test_of(const Node& health) {
  if (const Node* http = health.find("http")) return http_test(*http);
  if (const Node* tcp = health.find("tcp")) {
    return {"TCP", tcp->text.find(':') == std::string::npos ? "127.0.0.1:" + tcp->text : tcp->text};
  }
  return {"LOG", health.text_of("log")};
}

std::optional<Duration> time_of(const Node& health, const char* key) {
  const Node* node = health.find(key);
  if (node == nullptr) return std::nullopt;
  const auto value = parse_duration(node->text);
  return value.ok() ? std::optional(*value) : std::nullopt;
}

void check_http(const Node& http, const Path& path, Report& report) {
  if (http.is_map()) {
    for (const Entry& entry : http.entries) {
      if (is_one_of(entry.key, kHttpKeys)) continue;
      report.error(entry.place, path / entry.key, "unknown attribute " + gantry::quoted(entry.key),
                   "an http probe has port, path, status and address");
    }
    if (const Node* port = http.find("port"); port != nullptr && !is_port(port->text)) {
      report.error(port->place, path / "port", gantry::quoted(port->text) + " is no port", "give 1 to 65535");
    }
  } else if (!http.is_scalar() || http.text.empty() || http.text.starts_with("https://")) {
    report.error(http.place, path, "expected a port, an address or a mapping",
                 "write 8080, \":8080/healthz\" or {port: 8080, path: /healthz}");
  }
}

void check_times(const Entry& entry, const Path& path, Report& report) {
  const std::string& text = entry.value.text;
  const bool good = entry.key == "retries" ? parse_unsigned(text).has_value() : parse_duration(text).ok();
  if (good && entry.value.is_scalar()) return;
  report.error(entry.value.place, path / entry.key,
               gantry::quoted(text) + (entry.key == "retries" ? " is no number" : " is no duration"),
               entry.key == "retries" ? "give a number" : "write it as 5s or 1m30s");
}

void check_health(const Node& service, const Node& health, const Path& path, Report& report) {
  if (!health.is_map()) {
    report.error(health.place, path, "expected a mapping with http, tcp or log", "write {tcp: 5432}");
    return;
  }
  size_t kinds = 0;
  for (const Entry& entry : health.entries) {
    if (is_one_of(entry.key, kKinds)) {
      ++kinds;
      if (entry.key == "http") check_http(entry.value, path / entry.key, report);
      else if (!entry.value.is_scalar() || entry.value.text.empty()) {
        report.error(entry.value.place, path / entry.key, entry.key == "tcp" ? "expected a port" : "expected an expression",
                     entry.key == "tcp" ? "write 5432" : "write \"ready to accept\"");
      }
    } else if (is_one_of(entry.key, kTimes)) {
      check_times(entry, path, report);
    } else {
      report.error(entry.place, path / entry.key, "unknown attribute " + gantry::quoted(entry.key),
                   "there are http, tcp, log, interval, timeout, retries, start_period and start_interval");
    }
  }
  if (kinds != 1) {
    report.error(health.place, path, kinds == 0 ? "nothing says what to probe" : "more than one thing to probe",
                 "give one of http, tcp and log");
  }
  if (service.has("healthcheck")) {
    report.error(health.place, path, "the service has a healthcheck, too", "keep one of the two");
  }
}

// As a member of the JSON that is hashed.
std::string hashed_member(const ServiceHealthCheck& check) {
  std::string text;
  for (const std::string& word : check.test) text += word + " ";
  const auto add = [&text](const char* name, const std::optional<Duration>& time) {
    if (time) text += std::string(name) + "=" + format_duration(*time) + " ";
  };
  add("interval", check.interval);
  add("timeout", check.timeout);
  add("start_period", check.start_period);
  add("start_interval", check.start_interval);
  if (check.retries) text += "retries=" + std::to_string(*check.retries) + " ";
  std::string escaped;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return "\"" + std::string(kHealthExtension) + "\":\"" + escaped + "\"";
}

void append_member(std::string& object, const std::string& member) {
  if (object.empty()) object = "{}";
  object.insert(object.size() - 1, (object.size() > 2 ? "," : "") + member);
}

}  // namespace

void check_extensions(const Node& service, const Path& path, Report& report) {
  if (const Node* health = service.find(kHealthExtension)) check_health(service, *health, path / kHealthExtension, report);
  const Node* stop = service.find(kStop);
  if (stop != nullptr && stop->text != "patient" && stop->text != "quick") {
    report.error(stop->place, path / kStop, gantry::quoted(stop->text) + " is no manner of stopping",
                 "write patient or quick");
  }
}

void bind_extensions(const Node& service, Service& out) {
  if (const Node* health = service.find(kHealthExtension); health != nullptr && health->is_map()) {
    ServiceHealthCheck check{.test = test_of(*health),
                             .interval = time_of(*health, "interval"),
                             .timeout = time_of(*health, "timeout"),
                             .start_period = time_of(*health, "start_period"),
                             .start_interval = time_of(*health, "start_interval")};
    if (const Node* retries = health->find("retries")) check.retries = parse_unsigned(retries->text);
    append_member(out.canonical_json, hashed_member(check));
    out.healthcheck = std::move(check);
  }
  if (service.text_of(kStop) == "patient") {
    out.labels[kStopLabel] = "patient";
    append_member(out.canonical_json, "\"x-stop\":\"patient\"");
  }
}

}  // namespace gantry::compose
