// The half of yaml_tree.h that reads: yaml-cpp's events → Nodes.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <cstring>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "base/result.h"
#include "base/strings.h"
#include "compose/scalar.h"
#include "compose/yaml_tree.h"

namespace gantry::compose {
namespace {

constexpr size_t kMostNodes = 100'000;     // of one document, aliases expanded (the format's own limit)
constexpr size_t kMostDepth = 400;         // below yaml-cpp's own limit of 500
constexpr size_t kMostBytes = 64u << 20;   // of one file

struct Stop {};  // thrown through yaml-cpp when a limit is hit; never leaves this file

// yaml-cpp counts bytes, people count characters.
Place place_of(const YAML::Mark& mark, const std::string& text, bool ascii, int file) {
  int column = mark.column;
  if (!ascii) {
    for (int at = mark.pos - mark.column; at < mark.pos && at < static_cast<int>(text.size()); ++at) {
      if ((static_cast<unsigned char>(text[static_cast<size_t>(at)]) >> 6) == 2) --column;
    }
  }
  return {file, mark.line + 1, column + 1};
}

// Builds one document. yaml-cpp calls the On… functions in the order of the text.
class Builder final : public YAML::EventHandler {
 public:
  // `text` only to count columns in characters; `ascii`: there is nothing to count.
  Builder(const std::string& text, bool ascii, int file, Report& report)
      : text_(text), ascii_(ascii), file_(file), report_(report) {}

  // yaml-cpp takes the end of the file for a closing quote.
  void check_last_quote() {
    if (last_scalar_.is_null()) return;
    size_t at = static_cast<size_t>(last_scalar_.pos);
    while (at < text_.size() && (text_[at] == '&' || text_[at] == '!')) {
      at = text_.find_first_not_of(" \t\r\n", std::min(text_.find_first_of(" \t\r\n", at), text_.size()));
    }
    if (at >= text_.size() || (text_[at] != '"' && text_[at] != '\'')) return;
    char quote = text_[at];
    for (size_t i = at + 1; i < text_.size(); ++i) {
      if (quote == '"' && text_[i] == '\\') ++i;
      else if (text_[i] == quote) return;  // '' closes and opens again: the next one closes
    }
    report_.error_at(place(last_scalar_), "", "yaml: line " + std::to_string(last_scalar_.line + 1) +
                                                  ": found unexpected end of stream: the quote is never closed");
  }

  bool has_document() const { return has_root_; }
  Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(Node::null(place(mark)), anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    last_scalar_ = mark;
    add(scalar(mark, tag, value), anchor, tag == "?");
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      report_.error_at(place(mark), "", "cycle detected: the alias is inside of what its anchor names");
      throw Stop();
    }
    count(found->second.nodes, mark);
    add(found->second.node, YAML::NullAnchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Node::sequence(place(mark)), mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Node::mapping(place(mark)), mark, tag, anchor);
  }
  void OnMapEnd() override {
    expand_merge_keys(stack_.back().node);
    close();
  }

 private:
  struct Frame {
    Node node;
    YAML::anchor_t anchor = YAML::NullAnchor;
    size_t nodes_before = 0;
    bool has_key = false;
    Entry entry;                              // the one being read
    bool entry_merges = false;
    std::vector<size_t> merges;               // entries that are `<<`
    std::unordered_map<std::string, int> seen;  // keys → line
  };
  struct Anchored {
    Node node;
    size_t nodes = 1;
  };

  Place place(const YAML::Mark& mark) const { return place_of(mark, text_, ascii_, file_); }

  void count(size_t more, const YAML::Mark& mark) {
    nodes_ += more;
    if (nodes_ <= kMostNodes) return;
    report_.error_at(place(mark), "",
                     "the file exceeds the maximum node visit limit (" + std::to_string(kMostNodes) +
                         "): too large, or excessive aliasing");
    throw Stop();
  }

  Node scalar(const YAML::Mark& mark, const std::string& tag, const std::string& value) {
    count(1, mark);
    if (tag == "!reset") return tagged(Node::null(place(mark)), tag);
    if (tag == "!override") {
      Node node = typed(mark, resolve_plain(value));
      node.tag = Node::Tag::override_;
      return node;
    }
    if (tag == "?") return typed(mark, resolve_plain(value));
    if (tag.starts_with("tag:yaml.org,2002:")) return standard(mark, tag.substr(18), value);
    return Node::string(value, place(mark));
  }

  Node typed(const YAML::Mark& mark, Scalar scalar) {
    return {.kind = scalar.kind, .place = place(mark), .text = std::move(scalar.text)};
  }

  static Node tagged(Node node, const std::string& tag) {
    if (tag == "!reset") node.tag = Node::Tag::reset;
    if (tag == "!override") node.tag = Node::Tag::override_;
    return node;
  }

  // !!str, !!int …: the value must be of the kind that the tag says.
  Node standard(const YAML::Mark& mark, const std::string& type, const std::string& value) {
    if (type == "str") return Node::string(value, place(mark));
    if (type == "binary") {
      auto bytes = base64_decode(value);
      if (bytes) return Node::string(*bytes, place(mark));
    }
    Scalar resolved = resolve_plain(value);
    bool fits = (type == "int" && resolved.kind == Node::Kind::integer) ||
                (type == "bool" && resolved.kind == Node::Kind::boolean) ||
                (type == "null" && resolved.kind == Node::Kind::null) ||
                (type == "float" && (resolved.kind == Node::Kind::number || resolved.kind == Node::Kind::integer)) ||
                type == "timestamp";
    if (!fits) report_.error_at(place(mark), "", "cannot construct " + gantry::quoted(value) + " as a !!" + type);
    return typed(mark, std::move(resolved));
  }

  void open(Node node, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    count(1, mark);
    if (stack_.size() >= kMostDepth) {
      report_.error_at(place(mark), "", "exceeded max depth of " + std::to_string(kMostDepth));
      throw Stop();
    }
    stack_.push_back({.node = tagged(std::move(node), tag), .anchor = anchor, .nodes_before = nodes_ - 1});
  }

  void close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    if (frame.anchor != YAML::NullAnchor) {
      anchors_[frame.anchor] = {frame.node, nodes_ - frame.nodes_before};
    }
    add(std::move(frame.node), YAML::NullAnchor);
  }

  void add(Node node, YAML::anchor_t anchor, bool plain = false) {
    if (anchor != YAML::NullAnchor) anchors_[anchor] = {node, 1};
    if (stack_.empty()) {
      root_ = std::move(node);
      has_root_ = true;
      return;
    }
    Frame& top = stack_.back();
    if (top.node.is_list()) {
      if (node.tag != Node::Tag::reset) top.node.items.push_back(std::move(node));
    } else if (!top.has_key) {
      begin_entry(top, std::move(node), plain);
    } else {
      end_entry(top, std::move(node));
    }
  }

  void begin_entry(Frame& top, Node key, bool plain) {
    top.has_key = true;
    top.entry = {std::move(key.text), key.place, {}};
    top.entry_merges = plain && top.entry.key == "<<";
    if (!key.is_string()) {
      std::string what = key.is_null() ? "null" : key.is_scalar() ? top.entry.key : to_string(key.kind);
      report_.error_at(key.place, "", "non-string key: " + what, key.is_scalar() ? "put it in quotes" : "");
      return;
    }
    auto [seen, fresh] = top.seen.try_emplace(top.entry.key, key.place.line);
    if (!fresh) {
      report_.error_at(key.place, path(),
                       "mapping key " + gantry::quoted(top.entry.key) + " already defined at line " +
                           std::to_string(seen->second));
    }
  }

  // The path of the mapping that is being read.
  std::string path() const {
    std::string out;
    for (const Frame& frame : stack_) {
      if (&frame == &stack_.back()) break;
      if (frame.node.is_list()) out += "[" + std::to_string(frame.node.items.size()) + "]";
      else out += (out.empty() ? "" : ".") + frame.entry.key;
    }
    return out;
  }

  void end_entry(Frame& top, Node value) {
    top.has_key = false;
    top.entry.value = std::move(value);
    if (top.entry_merges) top.merges.push_back(top.node.entries.size());
    top.node.entries.push_back(std::move(top.entry));
  }

  // `<<`: explicit keys win wherever it stands; of several mappings the earlier one wins; values are taken whole.
  void expand_merge_keys(Node& map) {
    Frame& frame = stack_.back();
    for (size_t at : frame.merges) {
      Entry merge = std::move(map.entries[at]);
      map.entries[at].key.clear();
      std::vector<Node> sources;
      if (merge.value.is_list()) sources = std::move(merge.value.items);
      else sources.push_back(std::move(merge.value));
      for (Node& source : sources) {
        if (!source.is_map()) {
          report_.error_at(source.place, path(), "map merge requires map or sequence of maps as the value");
          continue;
        }
        for (Entry& entry : source.entries) {
          if (frame.seen.try_emplace(entry.key, entry.place.line).second) map.entries.push_back(std::move(entry));
        }
      }
      map.entries.erase(map.entries.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }

  const std::string& text_;
  bool ascii_;
  int file_;
  Report& report_;
  YAML::Mark last_scalar_ = YAML::Mark::null_mark();
  Node root_;
  bool has_root_ = false;
  std::vector<Frame> stack_;
  std::unordered_map<YAML::anchor_t, Anchored> anchors_;
  size_t nodes_ = 0;
};

// yaml-cpp reads bytes that are not UTF-8 and control characters without a word.
bool check_characters(std::string_view text, int file, Report& report, bool& ascii) {
  int line = 1, column = 1;
  ascii = true;
  for (size_t i = 0; i < text.size();) {
    unsigned char c = static_cast<unsigned char>(text[i]);
    if (c == '\n') {
      ++line, column = 1, ++i;
      continue;
    }
    Place at{file, line, column++};
    if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f) {
      report.error_at(at, "", "yaml: control characters are not allowed");
      return false;
    }
    if (c >= 0x80) ascii = false;
    size_t length = c < 0x80 ? 1 : (c >> 5) == 6 ? 2 : (c >> 4) == 14 ? 3 : (c >> 3) == 30 ? 4 : 0;
    bool good = length > 0 && i + length <= text.size();
    for (size_t k = 1; good && k < length; ++k) good = (static_cast<unsigned char>(text[i + k]) >> 6) == 2;
    if (!good) {
      report.error_at(at, "", "yaml: invalid leading UTF-8 octet");
      return false;
    }
    i += length;
  }
  return true;
}

// A stream over text that is there already, without copying it.
struct ViewBuffer : std::streambuf {
  explicit ViewBuffer(const std::string& text) {
    char* begin = const_cast<char*>(text.data());
    setg(begin, begin, begin + text.size());
  }
};

// The line (from 0) without its end.
std::string_view line_at(std::string_view text, int number) {
  for (int line = 0; line < number; ++line) text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  return text.substr(0, text.find('\n'));
}

std::string plain_words(const YAML::Exception& error, const std::string& text) {
  std::string message = error.msg;
  std::string_view line = error.mark.is_null() ? "" : line_at(text, error.mark.line);
  std::string_view indentation = line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
  if (indentation.find('\t') != std::string_view::npos) {
    return "found a tab character that cannot start any token: indent with spaces";
  }
  if (message.find("referenced anchor is not defined") != std::string::npos ||
      message.find("unknown anchor") != std::string::npos) {
    std::string_view name = line.substr(std::min(static_cast<size_t>(error.mark.column), line.size()));
    name = name.substr(0, name.find_first_of(" \t\r,]}"));
    if (name.starts_with('*')) name.remove_prefix(1);
    return "unknown anchor '" + std::string(name) + "' referenced";
  }
  return message;
}

}  // namespace

std::vector<Node> parse_yaml(const std::string& text, int file, Report& report) {
  std::vector<Node> documents;
  size_t errors_before = report.errors();
  if (text.size() > kMostBytes) {
    report.error_at({file, 0, 0}, "", "the file is larger than 64 MiB");
    return {};
  }
  bool ascii = true;
  if (!check_characters(text, file, report, ascii)) return {};
  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    for (;;) {
      Builder builder(text, ascii, file, report);
      if (!parser.HandleNextDocument(builder)) break;
      builder.check_last_quote();
      if (builder.has_document()) documents.push_back(builder.take());
      else documents.push_back(Node::null({file, 1, 1}));
    }
  } catch (const Stop&) {
    return {};
  } catch (const YAML::Exception& error) {
    Place place = place_of(error.mark, text, ascii, file);
    if (error.mark.is_null()) place = {file, 0, 0};
    report.error_at(place, "", "yaml: " + plain_words(error, text));
    return {};
  } catch (const std::exception& error) {
    report.error_at({file, 0, 0}, "", std::string("yaml: ") + error.what());
    return {};
  }
  if (report.errors() > errors_before) return {};
  return documents;
}

}  // namespace gantry::compose
