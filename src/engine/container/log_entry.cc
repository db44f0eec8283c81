#include "engine/container/log_entry.h"

#include <algorithm>
#include <charconv>

#include "base/strings.h"

namespace gantry::engine {
namespace {

constexpr int kMaxSkippedDepth = 16;  // of values that are skipped

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// As Go's url.QueryEscape.
void append_query_escaped(std::string& out, std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    const auto byte = static_cast<unsigned char>(c);
    if (plain) out += c;
    else if (c == ' ') out += '+';
    else out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
  }
}

// "123456789Z"}" → nanoseconds.
std::optional<std::chrono::nanoseconds> end_of_time(std::string_view text) {
  constexpr std::string_view kEnd = R"(Z"})";
  constexpr size_t kMostDigits = 9;
  if (!text.ends_with(kEnd)) return std::nullopt;
  text.remove_suffix(kEnd.size());
  if (text.empty() || text.size() > kMostDigits) return std::nullopt;
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  for (size_t digits = text.size(); digits < kMostDigits; ++digits) value *= 10;
  return std::chrono::nanoseconds(value);
}

// As little of JSON as a log line needs; a general parser takes several times as long for it.
class LineParser {
 public:
  LineParser(std::string_view line, LogEntry& entry, LogTail& known) : rest_(line), entry_(entry), known_(known) {}

  bool parse() {
    constexpr std::string_view kTextFirst = R"({"log":)";
    std::string_view tail;
    if (rest_.starts_with(kTextFirst)) {
      rest_.remove_prefix(kTextFirst.size());
      if (!text()) return false;
      tail = rest_;
      if (is_known(tail)) return true;
      if (!take(',')) return false;
    } else if (!take('{')) {
      return false;
    }
    forget();
    do {
      if (!member()) return false;
    } while (take(','));
    if (!take('}') || texts_ == 0 || !has_time_) return false;
    if (texts_ == 1 && is_time_last_) remember(tail);
    return true;
  }

 private:
  // Sets the time, which alone may differ.
  bool is_known(std::string_view tail) {
    if (known_.text.empty() || !tail.starts_with(known_.text)) return false;
    const auto nanoseconds = end_of_time(tail.substr(known_.text.size()));
    if (nanoseconds) entry_.time = known_.second + *nanoseconds;
    return nanoseconds.has_value();
  }

  void forget() {
    known_.text.clear();
    entry_.stream = LogStream::out;
    entry_.time = WallTime{};
    entry_.attributes.clear();
  }

  // The last member is the time, so what the fraction of a second can be at the end is one.
  void remember(std::string_view tail) {
    const size_t fraction = tail.rfind('.') + 1;
    const auto nanoseconds = fraction == 0 ? std::nullopt : end_of_time(tail.substr(fraction));
    if (!nanoseconds) return;
    known_.text = tail.substr(0, fraction);
    known_.second = entry_.time - *nanoseconds;
  }

  bool member() {
    std::string key_storage;
    std::string storage;
    std::string_view key;
    std::string_view value;
    if (!word(key, key_storage) || !take(':')) return false;
    is_time_last_ = key == "time";
    if (key == "log") return text();
    if (key == "stream") {
      if (!word(value, storage)) return false;
      entry_.stream = value == "stderr" ? LogStream::err : LogStream::out;
      return true;
    }
    if (is_time_last_) {
      has_time_ = word(value, storage) && parse_rfc3339(value, entry_.time);
      return has_time_;
    }
    return key == "attrs" ? attributes(entry_.attributes) : skip_value(0);
  }

  bool text() {
    ++texts_;
    entry_.text.clear();
    return string(entry_.text);
  }

  void skip_space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\r')) rest_.remove_prefix(1);
  }
  bool take(char c) {
    skip_space();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // {"a":"1","b":"2"} → "a=1,b=2". The writer has sorted them.
  bool attributes(std::string& out) {
    if (!take('{')) return false;
    if (take('}')) return true;
    do {
      std::string name;
      std::string value;
      if (!string(name) || !take(':')) return false;
      skip_space();
      if (!rest_.starts_with('"')) {  // none of ours
        if (!skip_value(1)) return false;
        continue;
      }
      if (!string(value)) return false;
      if (!out.empty()) out += ',';
      append_query_escaped(out, name);
      out += '=';
      append_query_escaped(out, value);
    } while (take(','));
    return take('}');
  }

  // As string(), but in the line itself if there are no escapes.
  bool word(std::string_view& value, std::string& storage) {
    skip_space();
    const size_t quote = rest_.starts_with('"') ? rest_.find('"', 1) : std::string_view::npos;
    if (quote == std::string_view::npos) return false;
    value = rest_.substr(1, quote - 1);
    if (value.find('\\') != std::string_view::npos) {
      if (!string(storage)) return false;
      value = storage;
      return true;
    }
    rest_.remove_prefix(quote + 1);
    return true;
  }

  // Appends to `out`.
  bool string(std::string& out) {
    if (!take('"')) return false;
    for (;;) {
      const size_t quote = rest_.find('"');
      if (quote == std::string_view::npos) return false;
      const size_t run = std::min(quote, rest_.substr(0, quote).find('\\'));
      out.append(rest_.substr(0, run));
      const char c = rest_[run];
      rest_.remove_prefix(run + 1);
      if (c == '"') return true;
      if (!escape(out)) return false;
    }
  }

  bool escape(std::string& out) {
    if (rest_.empty()) return false;
    const char c = rest_[0];
    rest_.remove_prefix(1);
    switch (c) {
      case 'n': out += '\n'; return true;
      case 'r': out += '\r'; return true;
      case 't': out += '\t'; return true;
      case 'b': out += '\b'; return true;
      case 'f': out += '\f'; return true;
      case '"':
      case '\\':
      case '/': out += c; return true;
      case 'u': return unicode(out);
      default: return false;
    }
  }

  bool unicode(std::string& out) {
    uint32_t code = 0;
    if (!four_digits(code)) return false;
    if (code >= 0xd800 && code < 0xdc00 && rest_.starts_with("\\u")) {
      const std::string_view before = rest_;
      rest_.remove_prefix(2);
      uint32_t low = 0;
      if (!four_digits(low)) return false;
      if (low >= 0xdc00 && low < 0xe000) {
        append_utf8(out, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
        return true;
      }
      rest_ = before;
    }
    append_utf8(out, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
    return true;
  }

  bool four_digits(uint32_t& code) {
    if (rest_.size() < 4) return false;
    for (int i = 0; i < 4; ++i) {
      const int digit = hex_value(rest_[static_cast<size_t>(i)]);
      if (digit < 0) return false;
      code = code * 16 + static_cast<uint32_t>(digit);
    }
    rest_.remove_prefix(4);
    return true;
  }

  bool skip_value(int depth) {
    if (depth > kMaxSkippedDepth) return false;
    skip_space();
    if (rest_.empty()) return false;
    std::string ignored;
    if (rest_[0] == '"') return string(ignored);
    if (rest_[0] == '{' || rest_[0] == '[') return skip_group(depth);
    const size_t end = rest_.find_first_of(",}]");
    if (end == 0 || end == std::string_view::npos) return false;
    rest_.remove_prefix(end);
    return true;
  }

  bool skip_group(int depth) {
    const bool object = rest_[0] == '{';
    const char close = object ? '}' : ']';
    rest_.remove_prefix(1);
    if (take(close)) return true;
    do {
      std::string key;
      if (object && (!string(key) || !take(':'))) return false;
      if (!skip_value(depth + 1)) return false;
    } while (take(','));
    return take(close);
  }

  std::string_view rest_;
  LogEntry& entry_;
  LogTail& known_;
  int texts_ = 0;
  bool has_time_ = false;
  bool is_time_last_ = false;
};

// As shim/log_line.h writes them: "o1764100000123456789 text".
bool parse_compact(std::string_view line, LogEntry& entry) {
  const char letter = line[0];
  const bool whole = letter == 'o' || letter == 'e';
  if (!whole && letter != 'O' && letter != 'E') return false;
  int64_t nanoseconds = 0;
  const auto [end, error] = std::from_chars(line.data() + 1, line.data() + line.size(), nanoseconds);
  if (error != std::errc() || end == line.data() + line.size() || *end != ' ') return false;
  entry.stream = letter == 'e' || letter == 'E' ? LogStream::err : LogStream::out;
  entry.time = WallTime(std::chrono::nanoseconds(nanoseconds));
  entry.text = line.substr(static_cast<size_t>(end + 1 - line.data()));
  if (whole) entry.text += '\n';
  entry.attributes.clear();
  return true;
}

}  // namespace

const LogEntry* LogEntryParser::parse(std::string_view line) {
  if (line.empty()) return nullptr;
  if (line[0] == '{') return LineParser(line, entry_, known_).parse() ? &entry_ : nullptr;
  known_.text.clear();
  return parse_compact(line, entry_) ? &entry_ : nullptr;
}

std::optional<LogEntry> parse_log_entry(std::string_view line) {
  LogEntryParser parser;
  const LogEntry* entry = parser.parse(line);
  return entry ? std::optional(*entry) : std::nullopt;
}

}  // namespace gantry::engine
