#include "cli/commands/engine_helpers.h"

#include <time.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/output_file.h"

namespace gantry::cli {

Result<Value> api_json(Session& session, const std::string& method, const std::string& path, const std::string& body) {
  const std::string text = TRY(TRY((*TRY(session.api())).request(method, path, body)).ok_body());
  if (trim(text).empty()) return Value();
  Value value = Value::parse(text, nullptr, false);
  if (value.is_discarded()) return internal_error("the daemon's answer is no JSON");
  return value;
}

Result<int> for_each_name(Session& session, const std::vector<std::string>& names,
                          const std::function<Result<>(client::ApiClient&, const std::string&)>& act) {
  client::ApiClient* api = TRY(session.api());
  int status = 0;
  for (const std::string& name : names) {
    if (const Result<> done = act(*api, name); done.ok()) {
      session.out.write(name + "\n");
    } else {
      session.fail(done.error().message());
      status = 1;
    }
  }
  return status;
}

const Value& member_of(const Value& object, const char* member) {
  static const Value kNothing;
  if (!object.is_object()) return kNothing;
  const auto found = object.find(member);
  return found == object.end() ? kNothing : *found;
}
std::string text_of(const Value& object, const char* member) {
  const Value& value = member_of(object, member);
  return value.is_string() ? value.get<std::string>() : "";
}
int64_t number_of(const Value& object, const char* member) {
  const Value& value = member_of(object, member);
  return value.is_number() ? value.get<int64_t>() : 0;
}

Result<std::string> filters_of(const Arguments& arguments) {
  std::map<std::string, std::vector<std::string>> filters;
  for (const std::string& filter : arguments.list("filter")) {
    const size_t equals = filter.find('=');
    if (equals == std::string::npos || equals == 0) {
      return invalid("invalid argument " + gantry::quoted(filter) + " for \"-f, --filter\" flag: invalid filter '" + filter + "'");
    }
    std::string key = to_lower(trim(std::string_view(filter).substr(0, equals)));
    // label!=x is the filter "label!".
    filters[key].emplace_back(trim(std::string_view(filter).substr(equals + 1)));
  }
  return filters.empty() ? std::string() : filters_query(filters);
}

std::string query_of(const std::vector<std::pair<std::string, std::string>>& parameters) {
  std::string query;
  for (const auto& [name, value] : parameters) {
    if (!value.empty()) query += (query.empty() ? "?" : "&") + name + "=" + value;
  }
  return query;
}

std::string local_time_text(int64_t seconds) {
  const time_t time = seconds;
  tm parts{};
  ::localtime_r(&time, &parts);
  char text[64];
  return std::string(text, ::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z %Z", &parts));
}

std::string age_text(const Session& session, int64_t created) {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(session.clock().wall().time_since_epoch()).count();
  return human_duration(std::chrono::seconds(std::max<int64_t>(now - created, 0))) + " ago";
}

std::string labels_text(const Value& labels) {
  std::map<std::string, std::string> sorted;
  if (labels.is_object()) {
    for (const auto& [key, value] : labels.items()) sorted[key] = value.is_string() ? value.get<std::string>() : "";
  }
  std::string text;
  for (const auto& [key, value] : sorted) text += (text.empty() ? "" : ",") + key + "=" + value;
  return text;
}

bool confirmed(Session& session, const std::string& question) {
  session.err.write(question + " [y/N] ");
  std::string answer;
  char c = 0;
  while (::read(session.in, &c, 1) == 1 && c != '\n') answer += c;
  const std::string lower = to_lower(trim(answer));
  return lower == "y" || lower == "yes";
}

Result<> save_stream(Session& session, const std::string& request, const std::string& output) {
  std::optional<OutputFile> file;
  if (!output.empty()) file.emplace(TRY(OutputFile::open(output)));
  Result<> written;
  auto sent = (*TRY(session.api())).stream_bytes("GET", request, "", [&](std::string_view bytes) {
    written = file ? file->write(bytes) : write_all(session.out.fd(), bytes);
    return written.ok();
  });
  TRY(std::move(written));
  TRY(std::move(sent));
  if (file) TRY(file->keep());
  return {};
}

}  // namespace gantry::cli
