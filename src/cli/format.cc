#include "cli/format.h"

#include <cctype>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "cli/table.h"

namespace gantry::cli {

namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

Result<Value> parsed_row(std::string_view row) {
  Value json = Value::parse(row, nullptr, false);
  if (json.is_discarded()) return internal_error("template: the row is no JSON");
  return json;
}

// People type \t and \n on the command line.
std::string with_escapes(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] == '\\' && (next == 't' || next == 'n')) {
      out += next == 't' ? '\t' : '\n';
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

// "CreatedAt" → "CREATED AT".
std::string heading(const std::string& field) {
  std::string text;
  for (size_t i = 0; i < field.size(); ++i) {
    const auto is_upper = [](char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; };
    if (i > 0 && is_upper(field[i]) && !is_upper(field[i - 1])) text += ' ';
    text += static_cast<char>(std::toupper(static_cast<unsigned char>(field[i])));
  }
  return text;
}

std::string header_of(const std::string& cell, const std::vector<FormatColumn>& columns) {
  const std::string trimmed(trim(cell));
  for (const FormatColumn& column : columns) {
    if (column.template_ == trimmed) return column.header;
  }
  const size_t dot = trimmed.find('.');
  if (dot == std::string::npos) return trimmed;
  size_t end = dot + 1;
  while (end < trimmed.size() && is_word(trimmed[end])) ++end;
  return heading(trimmed.substr(dot + 1, end - dot - 1));
}

Result<std::string> table_text(const std::vector<Value>& rows, const std::vector<FormatColumn>& columns) {
  std::vector<std::string> header;
  std::vector<Template> cells;
  for (const FormatColumn& column : columns) {
    header.push_back(column.header);
    cells.push_back(TRY(Template::parse(column.template_)));
  }
  Table table(header);
  for (const Value& row : rows) {
    std::vector<std::string> texts;
    for (const Template& cell : cells) texts.push_back(TRY(cell.run(row)));
    table.add(std::move(texts));
  }
  return table.text();
}

}  // namespace

Result<std::string> formatted(std::string_view format, const std::vector<std::string>& rows,
                              const std::vector<FormatColumn>& columns) {
  std::vector<Value> values;
  for (const std::string& row : rows) values.push_back(TRY(parsed_row(row)));
  return formatted_rows(format, values, columns);
}

Result<std::string> formatted_rows(std::string_view format, const std::vector<Value>& rows,
                                   const std::vector<FormatColumn>& columns) {
  if (format.empty() || format == "table") return table_text(rows, columns);
  std::string text;
  if (format == "json") {
    for (const Value& row : rows) text += row.dump(-1, ' ', false, Value::error_handler_t::replace) + "\n";
    return text;
  }
  const std::string source = with_escapes(format);
  constexpr std::string_view kTable = "table ";
  if (source.starts_with(kTable)) {
    std::vector<FormatColumn> wanted;
    for (const std::string& cell : split(std::string_view(source).substr(kTable.size()), '\t')) {
      wanted.push_back({header_of(cell, columns), cell});
    }
    return table_text(rows, wanted);
  }
  if (source.find("{{") == std::string::npos) {
    return invalid("format value " + gantry::quoted(format) +
                   " could not be parsed: give table, json or a template such as {{.Name}}");
  }
  const Template line = TRY(Template::parse(source));
  for (const Value& row : rows) text += TRY(line.run(row)) + "\n";
  return text;
}

}  // namespace gantry::cli
