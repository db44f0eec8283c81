#include "base/json_text.h"

#include <nlohmann/json.hpp>

namespace gantry {
namespace {

bool is_printed_as_it_is(unsigned char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; }

}  // namespace

void append_json(std::string& out, std::string_view text) {
  const size_t before = out.size();
  out += '"';
  size_t written = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_printed_as_it_is(static_cast<unsigned char>(text[i]))) continue;
    if (text[i] != '"' && text[i] != '\\') {  // control characters and what is not ASCII: rare
      using nlohmann::json;
      out.resize(before);
      out += json(text).dump(-1, ' ', false, json::error_handler_t::replace);
      return;
    }
    out += text.substr(written, i - written);
    out += '\\';
    written = i;  // the character itself comes with those behind it
  }
  out += text.substr(written);
  out += '"';
}

}  // namespace gantry
