#include "cli/list_format.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "cli/text.h"

namespace gantry::cli {
namespace {

constexpr size_t kGap = 3;
constexpr size_t kNarrowest = 10;  // with the gap

// A shell's single quotes keep "\t" and "\n" as they are typed.
std::string unescaped(std::string text) {
  for (const auto& [from, to] : {std::pair(std::string_view("\\t"), '\t'), std::pair(std::string_view("\\n"), '\n')}) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; ++at) text.replace(at, from.size(), 1, to);
  }
  return text;
}

Value header_row(std::span<const Column> columns) {
  Value row = Value::object();
  for (const Column& column : columns) row[std::string(column.field)] = column.header;
  return row;
}

}  // namespace

Value make_row(const std::map<std::string, std::string>& members) {
  Value row = Value::object();
  for (const auto& [name, value] : members) row[name] = value;
  return row;
}

std::string aligned(std::string_view text) {
  std::vector<std::vector<std::string>> lines;
  std::vector<size_t> widths;
  if (text.ends_with('\n')) text.remove_suffix(1);
  for (const std::string& line : split(text, '\n')) {
    lines.push_back(split(line, '\t'));
    for (size_t i = 0; i + 1 < lines.back().size(); ++i) {
      if (i >= widths.size()) widths.resize(i + 1, kNarrowest);
      widths[i] = std::max(widths[i], display_width(lines.back()[i]) + kGap);
    }
  }
  std::string out;
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) {
      out += line[i];
      if (i + 1 < line.size()) out += std::string(widths[i] - display_width(line[i]), ' ');
    }
    out += '\n';
  }
  return out;
}

Result<std::string> format_list(const ListFormat& list, const std::string& format, const std::vector<Value>& rows) {
  std::string text = unescaped(format);
  const bool is_table = text.empty() || text == "table" || text.starts_with("table ");
  if (text == "json") text = "{{json .}}";
  if (is_table) text = text.size() > 6 ? text.substr(6) : std::string(list.standard);
  const Template line = TRY(Template::parse(text));
  std::string out;
  if (is_table) out = TRY(line.run(header_row(list.columns))) + "\n";
  for (const Value& row : rows) out += TRY(line.run(row)) + "\n";
  return is_table ? aligned(out) : out;
}

}  // namespace gantry::cli
