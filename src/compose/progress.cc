#include "compose/progress.h"

#include <array>
#include <nlohmann/json.hpp>
#include <variant>

#include "base/json_cursor.h"
#include "base/json_text.h"

namespace gantry::compose {
namespace {

using Json = nlohmann::json;
using Resource = Progress::Resource;
using Status = Progress::Status;

// A line is one short message; layers' texts and errors are the longest.
constexpr size_t kMaxLine = size_t{1} << 20;

constexpr std::array<std::pair<Resource, const char*>, 6> kResourceWords = {{
    {Resource::project, "project"},
    {Resource::network, "network"},
    {Resource::volume, "volume"},
    {Resource::image, "image"},
    {Resource::container, "container"},
    {Resource::service, "service"},
}};
constexpr std::array<std::pair<Status, const char*>, 4> kStatuses = {{
    {Status::working, "working"},
    {Status::done, "done"},
    {Status::warning, "warning"},
    {Status::error, "error"},
}};

template <class Table, class Value>
const char* word_of(const Table& table, Value value) {
  for (const auto& [known, word] : table) {
    if (known == value) return word;
  }
  return "";
}

template <class Table, class Value>
bool value_of(const Table& table, std::string_view word, Value& value) {
  for (const auto& [known, name] : table) {
    if (word == name) return value = known, true;
  }
  return false;
}

// One flat object, as it is written.
class Members {
 public:
  explicit Members(const char* kind) : line_(std::string("{\"") + kind + "\":{") {}
  // An empty text is left out.
  Members& text(std::string_view name, std::string_view value) {
    if (value.empty()) return *this;
    key(name);
    append_json(line_, value);
    return *this;
  }
  Members& plain(std::string_view name, const std::string& value) {
    key(name);
    line_ += value;
    return *this;
  }
  Members& count(std::string_view name, uint64_t value) { return value == 0 ? *this : plain(name, std::to_string(value)); }
  std::string line() { return std::move(line_) + "}}\n"; }

 private:
  void key(std::string_view name) {
    if (line_.back() != '{') line_ += ',';
    append_json(line_, name);
    line_ += ':';
  }
  std::string line_;
};

// Most lines, of which an `up` of many services has hundreds, hold a few known texts and nothing else. Those are read here;
// for any other line this reader has nothing to say, and LineReader judges it.
class PlainLineReader {
 public:
  explicit PlainLineReader(std::string_view line) : json_(line) {}

  std::optional<ProgressLine> read() {
    ProgressLine line;
    int parts = 0;
    json_.members([&](std::string_view kind) {
      ++parts;
      plain_ = plain_ && json_.next() == '{';
      if (kind == "progress") read_progress(line.progress.emplace());
      else if (kind == "outcome") read_outcome(line.outcome.emplace());
      else give_up();
    });
    if (!plain_ || parts != 1 || !json_.finished()) return std::nullopt;
    return line;
  }

 private:
  void read_progress(Progress& progress) {
    json_.members([&](std::string_view key) {
      if (key == "resource") known(value_of(kResourceWords, text(), progress.resource));
      else if (key == "name") progress.name = text();
      else if (key == "service") progress.service = text();
      else if (key == "status") known(value_of(kStatuses, text(), progress.status));
      else if (key == "text") progress.text = text();
      else if (key == "details") progress.details = text();
      else give_up();
    });
  }

  void read_outcome(Outcome& outcome) {
    json_.members([&](std::string_view key) {
      if (key == "message") outcome.message = text();
      else if (key == "ok") outcome.ok = flag();
      else give_up();
    });
  }

  std::string text() {
    plain_ = plain_ && json_.next() == '"';
    return json_.text();
  }

  bool flag() {
    plain_ = plain_ && (json_.next() == 't' || json_.next() == 'f');
    return json_.flag();
  }

  void known(bool is_known) { plain_ = plain_ && is_known; }

  void give_up() {
    plain_ = false;
    json_.skip();
  }

  JsonCursor json_;
  bool plain_ = true;
};

// What one member of a line goes to.
using Target = std::variant<std::monostate, std::string*, uint64_t*, int*, bool*>;

// Reads {"progress":{…}} and {"outcome":{…}} without a document in between. Members that it does not know are of a newer
// daemon, and left out.
class LineReader final : public Json::json_sax_t {
 public:
  ProgressLine take() {
    ProgressLine line;
    if (kind_ == "progress") line.progress = std::move(progress_);
    if (kind_ == "outcome") line.outcome = std::move(outcome_);
    return line;
  }
  bool wrong_value() const { return wrong_value_; }

  bool key(std::string& name) override {
    if (depth_ == 1) kind_ = name;
    key_ = std::move(name);
    return true;
  }
  bool start_object(size_t) override { return ++depth_ == 2 ? take_part() : depth_ == 1 || refuse(); }
  bool end_object() override { return --depth_, true; }
  bool start_array(size_t) override { return refuse(); }
  bool end_array() override { return true; }
  bool null() override { return refuse(); }
  bool boolean(bool value) override { return give<bool>(value); }
  bool number_integer(Json::number_integer_t value) override { return give<int>(value); }
  bool number_unsigned(Json::number_unsigned_t value) override {
    return std::holds_alternative<int*>(target()) ? give<int>(static_cast<int64_t>(value)) : give<uint64_t>(value);
  }
  bool number_float(Json::number_float_t, const std::string&) override { return refuse(); }
  bool binary(Json::binary_t&) override { return refuse(); }
  bool parse_error(size_t, const std::string&, const Json::exception&) override { return false; }
  bool string(std::string& value) override {
    if (depth_ != 2) return refuse();
    if (kind_ == "progress" && key_ == "resource") return value_of(kResourceWords, value, progress_.resource) || refuse();
    if (kind_ == "progress" && key_ == "status") return value_of(kStatuses, value, progress_.status) || refuse();
    return give<std::string>(std::move(value));
  }

 private:
  Target target() {
    if (depth_ != 2) return {};
    if (kind_ == "outcome") {
      if (key_ == "ok") return &outcome_.ok;
      if (key_ == "message") return &outcome_.message;
      if (key_ == "exit_code") return &outcome_.exit_code;
      return {};
    }
    if (key_ == "name") return &progress_.name;
    if (key_ == "service") return &progress_.service;
    if (key_ == "text") return &progress_.text;
    if (key_ == "details") return &progress_.details;
    if (key_ == "cause") return &progress_.cause;
    if (key_ == "mark") return &progress_.mark;
    if (key_ == "current") return &progress_.current;
    if (key_ == "total") return &progress_.total;
    if (key_ == "layer") return &progress_.layer;
    return {};
  }

  template <class T, class Value>
  bool give(Value&& value) {
    const Target to = target();
    if (std::holds_alternative<std::monostate>(to)) return depth_ == 2 || refuse();
    if (!std::holds_alternative<T*>(to)) return refuse();
    *std::get<T*>(to) = static_cast<T>(std::forward<Value>(value));
    return true;
  }

  bool take_part() const { return kind_ == "progress" || kind_ == "outcome"; }
  bool refuse() { return wrong_value_ = depth_ == 2, false; }

  int depth_ = 0;
  std::string kind_;
  std::string key_;
  Progress progress_;
  Outcome outcome_;
  bool wrong_value_ = false;
};

}  // namespace

std::string to_json_line(const Progress& progress) {
  return Members("progress")
      .text("resource", word_of(kResourceWords, progress.resource))
      .text("name", progress.name)
      .text("service", progress.service)
      .text("status", word_of(kStatuses, progress.status))
      .text("text", progress.text)
      .text("details", progress.details)
      .text("cause", progress.cause)
      .text("mark", progress.mark)
      .count("current", progress.current)
      .count("total", progress.total)
      .text("layer", progress.layer)
      .line();
}

std::string to_json_line(const Outcome& outcome) {
  Members members("outcome");
  members.plain("ok", outcome.ok ? "true" : "false").text("message", outcome.message);
  if (outcome.exit_code != 0) members.plain("exit_code", std::to_string(outcome.exit_code));
  return members.line();
}

Result<ProgressLine> parse_progress_line(std::string_view line) {
  if (line.size() > kMaxLine) return invalid("progress line: longer than " + std::to_string(kMaxLine) + " bytes");
  if (std::optional<ProgressLine> plain = PlainLineReader(line).read()) return *std::move(plain);
  LineReader reader;
  if (Json::sax_parse(line, &reader)) {
    ProgressLine parsed = reader.take();
    if (parsed.progress || parsed.outcome) return parsed;
  } else if (reader.wrong_value()) {
    return invalid("progress line: a field has a value that this client does not know: " + gantry::quoted(line.substr(0, 200)));
  }
  return invalid("progress line: neither progress nor outcome: " + gantry::quoted(line.substr(0, 80)));
}

}  // namespace gantry::compose
