// Characters of a YAML text → tokens. What makes YAML hard is here: a token may turn out to be a key only when the `:`
// behind it is found, and indentation opens and closes collections without a character of its own.
//
// One for one text; one thread. Tokens keep views into the text.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "compose/yaml_events.h"

namespace gantry::compose::yaml {

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_break(char c) { return c == '\n' || c == '\r'; }
constexpr bool ends_word(char c) { return is_blank(c) || is_break(c) || c == '\0'; }

struct Token {
  enum class Kind : uint8_t {
    stream_end, directive, document_start, document_end,
    block_sequence_start, block_mapping_start, block_end, block_entry,
    flow_sequence_start, flow_sequence_end, flow_mapping_start, flow_mapping_end, flow_entry,
    key, value, alias, anchor, tag, scalar,
  };
  Kind kind = Kind::stream_end;
  bool plain = false;
  int line = 0;    // from 1
  int column = 0;  // from 1, in characters
  std::string_view text;
};

class Scanner {
 public:
  // `made` keeps texts that had to be put together.
  Scanner(std::string_view text, size_t most_depth, Failure& failure);

  // The next token, or nullptr after an error. Valid until next().
  const Token* peek() { return head_ < tokens_.size() && !may_become_key() && !failed_ ? &tokens_[head_] : peek_on(); }
  void next();

  // Where folded and unescaped texts go from now on: each document keeps its own.
  void set_store(std::deque<std::string>* made) { made_ = made; }

  bool fail(int line, int column, std::string message, std::string hint = {});
  bool failed() const { return failed_; }

 private:
  // A token that becomes a key if a `:` follows on the same line.
  struct PossibleKey {
    bool possible = false;
    bool required = false;  // by its indentation nothing else can stand here
    size_t token = 0;       // its number
    size_t at = 0;
    int line = 0;
    size_t column = 0;      // bytes
  };

  char at(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  size_t column() const { return at_ - line_start_; }
  int shown_column(size_t position) const;
  void skip_line();
  Token token(Token::Kind kind) const;
  bool fail_here(std::string message, std::string hint = {});
  std::string_view keep(std::string text);

  // In block style, where there is one possible key only: whether there is.
  bool may_become_key() const { return keys_.size() > 1 || keys_.front().possible; }
  const Token* peek_on();
  bool needs_more();
  bool fetch();
  bool fetch_by_character(char c);
  bool skip_to_token();
  bool ends_flow_key(char next) const;
  bool at_document_mark(char c) const;

  bool is_expired(const PossibleKey& key) const;
  bool expire_keys();
  bool save_key();
  bool remove_key();
  void insert(size_t number, Token token);
  void roll_indent(size_t column, size_t number, Token::Kind kind, const Token& where);
  void unroll_indent(int column);

  bool fetch_stream_end();
  bool fetch_directive();
  bool fetch_document_mark(Token::Kind kind);
  bool fetch_flow_start(Token::Kind kind);
  bool fetch_flow_end(Token::Kind kind);
  bool fetch_flow_entry();
  bool fetch_block_entry();
  bool fetch_key();
  bool fetch_value();
  bool fetch_anchor(Token::Kind kind);
  bool fetch_tag();
  bool fetch_block_scalar();
  bool fetch_quoted(char quote);
  bool fetch_plain();

  // yaml_scalars.cc
  bool scan_plain(Token& token);
  bool scan_quoted(char quote, Token& token);
  bool scan_quoted_slowly(char quote, Token& token);
  bool scan_escape(std::string& out);
  void fold_blanks(std::string& out);
  size_t skip_blanks_and_breaks();  // the number of breaks
  bool scan_block(Token& token);
  bool scan_block_header(int& chomping, int& increment);
  bool scan_block_breaks(int& indent, size_t& breaks);

  std::string_view text_;
  size_t most_depth_;
  Failure& failure_;
  std::deque<std::string>* made_ = nullptr;

  bool ascii_ = true;
  size_t at_ = 0;
  int line_ = 1;
  size_t line_start_ = 0;

  std::vector<Token> tokens_;  // from head_ on not handed out yet
  size_t head_ = 0;
  size_t taken_ = 0;           // tokens handed out: the number of the head

  int indent_ = -1;
  std::vector<int> indents_;
  size_t flow_ = 0;                 // depth of [ and {
  std::vector<size_t> flow_starts_; // where they are: for messages
  bool key_allowed_ = true;
  std::vector<PossibleKey> keys_;   // one a flow depth
  bool failed_ = false;
};

}  // namespace gantry::compose::yaml
