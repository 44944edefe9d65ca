//! A session as a picture, for previews of its link: the title, what was asked first, and some numbers.

use std::collections::HashSet;

use ab_glyph::{Font, FontRef, PxScaleFont, ScaleFont, point};

use super::session::Session;
use crate::model::tools::{self, Call, Said};
use crate::model::{Content, Key};

/// The width of a picture in pixels, as previews of links show it.
pub const WIDTH: u32 = 1200;
/// Its height in pixels.
pub const HEIGHT: u32 = 630;

/// Pixels to the left and right of all texts.
const MARGIN: f32 = 80.0;

/// Where the word begins that says that it is live, in pixels.
const LIVE_AT: f32 = 1010.0;

/// Characters of a text that are looked at: more than there is room for.
const MAX_CHARACTERS: usize = 400;

type Colour = [u8; 3];
const PAPER: Colour = [0xfb, 0xfa, 0xf8];
const INK: Colour = [0x1d, 0x1d, 0x22];
const SOFT: Colour = [0x5f, 0x5f, 0x6b];
const ACCENT: Colour = [0x3b, 0x5b, 0xdb];
const LIVE: Colour = [0x2f, 0x9e, 0x44];

/// What is on a picture.
#[derive(Debug, Clone)]
pub struct Card {
    /// The session's title.
    pub title: String,
    /// What was asked first.
    pub prompt: String,
    /// Its numbers.
    pub counts: Counts,
    /// Whether its agent is at work.
    pub is_live: bool,
}

/// A session in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// Turns.
    pub turns: usize,
    /// Files that were changed.
    pub files: usize,
    /// What it cost, in US dollars; zero when nobody says so.
    pub cost: f64,
}

/// The numbers of a session's items, which are in reading order.
pub fn counts(items: &[(Key, Content)]) -> Counts {
    let Session { info, turns, .. } = Session::of(items);
    let (mut files, mut cost) = (HashSet::new(), 0.0);
    for answer in turns.iter().flat_map(|turn| &turn.answers) {
        cost += answer.info["cost"].as_f64().unwrap_or_default();
        answer.parts.each(|part| {
            if part["type"] == "tool" {
                let input = tools::input(part);
                let call = Call::of(part, &input);
                if let Said::Changes(changes) = &call.said
                    && !call.failed
                {
                    files.extend(changes.iter().map(|change| change.file.to_string()));
                }
            }
            true
        });
    }
    Counts { turns: turns.len(), files: files.len(), cost: info["cost"].as_f64().unwrap_or(cost) }
}

impl Counts {
    fn line(&self) -> String {
        let count = |number: usize, one: &str, many: &str| match number {
            0 => None,
            1 => Some(format!("1 {one}")),
            number => Some(format!("{number} {many}")),
        };
        let cost = (self.cost >= 0.005).then(|| format!("${:.2}", self.cost));
        let facts =
            [count(self.turns, "turn", "turns"), count(self.files, "file changed", "files changed"), cost];
        facts.into_iter().flatten().collect::<Vec<_>>().join("  ·  ")
    }
}

/// Draws a card as PNG; nothing when that fails. What the font has no letters for is left out.
pub fn picture(card: &Card) -> Option<Vec<u8>> {
    let bold = FontRef::try_from_slice(include_bytes!("../../packaging/fonts/NotoSans-Bold.ttf")).ok()?;
    let regular =
        FontRef::try_from_slice(include_bytes!("../../packaging/fonts/NotoSans-Regular.ttf")).ok()?;
    let mut canvas = Canvas(PAPER.repeat((WIDTH * HEIGHT) as usize));
    canvas.fill(0, 0, 16, HEIGHT, ACCENT);
    let title = if can_write(&bold, &card.title) { &*card.title } else { "Shared session" };
    let below = canvas.text(&bold, 60.0, title, 2, 80.0, INK);
    if can_write(&regular, &card.prompt) {
        canvas.text(&regular, 36.0, &card.prompt, 5, below + 24.0, SOFT);
    }
    canvas.text(&regular, 30.0, &card.counts.line(), 1, 530.0, SOFT);
    if card.is_live {
        canvas.text_at(&bold, 30.0, "● Live", LIVE_AT, 530.0, LIVE);
    }
    canvas.png().ok()
}

/// Whether a font has all letters of a text.
fn can_write(font: &FontRef, text: &str) -> bool {
    text.chars().take(MAX_CHARACTERS).all(|letter| letter.is_whitespace() || font.glyph_id(letter).0 != 0)
}

/// Pixels of three bytes, line by line.
struct Canvas(Vec<u8>);

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
// Places within the picture; what is outside is left out.
impl Canvas {
    fn fill(&mut self, left: u32, top: u32, right: u32, bottom: u32, colour: Colour) {
        for (x, y) in (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))) {
            self.blend(x, y, 1.0, colour);
        }
    }

    /// Lays a colour over a pixel, as much of it as `cover` says.
    fn blend(&mut self, x: u32, y: u32, cover: f32, colour: Colour) {
        if x >= WIDTH || y >= HEIGHT {
            return;
        }
        let at = (y * WIDTH + x) as usize * colour.len();
        for (below, above) in self.0[at..].iter_mut().zip(colour) {
            let mixed = f32::from(*below) + (f32::from(above) - f32::from(*below)) * cover.clamp(0.0, 1.0);
            *below = mixed.round() as u8;
        }
    }

    /// Writes a text in so many lines at the most; gives where the next may begin.
    fn text(&mut self, font: &FontRef, size: f32, text: &str, lines: usize, top: f32, colour: Colour) -> f32 {
        let mut top = top;
        for line in wrap(&font.as_scaled(size), text, WIDTH as f32 - 2.0 * MARGIN, lines) {
            self.text_at(font, size, &line, MARGIN, top, colour);
            top += size * 1.3;
        }
        top
    }

    fn text_at(&mut self, font: &FontRef, size: f32, text: &str, left: f32, top: f32, colour: Colour) {
        let font = font.as_scaled(size);
        let (mut x, baseline) = (left, top + font.ascent());
        for letter in text.chars() {
            let id = font.glyph_id(letter);
            let glyph = id.with_scale_and_position(size, point(x, baseline));
            x += font.h_advance(id);
            if let Some(outline) = font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                outline.draw(|right, down, cover| {
                    self.blend(corner.x as u32 + right, corner.y as u32 + down, cover, colour);
                });
            }
        }
    }

    fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, WIDTH, HEIGHT);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header()?.write_image_data(&self.0)?;
        Ok(file)
    }
}

/// A text in so many lines at the most, each no wider than `width`. A word that is wider is broken.
fn wrap(font: &PxScaleFont<&FontRef>, text: &str, width: f32, max_lines: usize) -> Vec<String> {
    const CUT: char = '…';
    let wide = |letter: char| font.h_advance(font.glyph_id(letter));
    let (mut lines, mut line, mut taken) = (Vec::new(), String::new(), 0.0);
    let text: String = text.chars().take(MAX_CHARACTERS).collect();
    for word in text.split_whitespace() {
        let long: f32 = word.chars().map(wide).sum();
        if !line.is_empty() {
            if taken + wide(' ') + long <= width {
                line.push(' ');
                taken += wide(' ');
            } else {
                lines.push(std::mem::take(&mut line));
                taken = 0.0;
            }
        }
        for letter in word.chars() {
            if taken + wide(letter) > width {
                lines.push(std::mem::take(&mut line));
                taken = 0.0;
            }
            line.push(letter);
            taken += wide(letter);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if lines.len() > max_lines {
        lines.truncate(max_lines);
        if let Some(last) = lines.last_mut() {
            while last.chars().chain([CUT]).map(wide).sum::<f32>() > width {
                last.pop();
            }
            last.truncate(last.trim_end().len());
            last.push(CUT);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(title: &str, prompt: &str) -> Card {
        let counts = Counts { turns: 300, files: 1, cost: 21.837 };
        Card { title: title.into(), prompt: prompt.into(), counts, is_live: false }
    }

    #[test]
    fn what_is_known_is_on_the_picture_and_what_cannot_be_written_is_not() {
        let known = picture(&card("A title", "What is asked")).unwrap();
        assert!(known.starts_with(b"\x89PNG") && known.len() < 200_000, "{}", known.len());
        assert_ne!(picture(&Card { is_live: true, ..card("A title", "What is asked") }).unwrap(), known);
        assert_ne!(picture(&card("A title", "Something else")).unwrap(), known);
        let nothing = picture(&card("Shared session", "")).unwrap();
        assert_eq!(picture(&card("標題", "什麼")).unwrap(), nothing);
        assert_ne!(picture(&card("Заглавие", "Ερώτηση")).unwrap(), nothing);
        assert_eq!(card("", "").counts.line(), "300 turns  ·  1 file changed  ·  $21.84");
    }

    #[test]
    fn lines_are_no_wider_and_no_more_than_there_is_room_for() {
        let font =
            FontRef::try_from_slice(include_bytes!("../../packaging/fonts/NotoSans-Bold.ttf")).unwrap();
        let font = font.as_scaled(60.0);
        for text in ["", "short", &"w".repeat(500), &"some words ".repeat(90), "\u{202e}\n\t"] {
            let lines = wrap(&font, text, 500.0, 3);
            assert!(lines.len() <= 3);
            for line in &lines {
                assert!(
                    line.chars().map(|letter| font.h_advance(font.glyph_id(letter))).sum::<f32>() <= 500.0
                );
            }
            assert_eq!(lines.last().is_some_and(|last| last.ends_with('…')), text.len() > 100, "{lines:?}");
        }
    }
}
