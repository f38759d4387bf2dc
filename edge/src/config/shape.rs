//! What a configuration may say at a place: the keys of a section, the values of a choice.
//!
//! Owns the way to ask the types themselves, through the deserialiser that they derive, so that a key added to a section is
//! known here by itself. Refuses to hold a list of keys of its own: it would be the one that nobody extends.

use serde::Deserialize;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt::Display;

/// A step of a path that leads into a list's elements.
pub(super) const ELEMENT: &str = "[]";

/// What may stand at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A table with these keys.
    Table(&'static [&'static str]),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list.
    List,
    /// Something else, or nothing that the types tell.
    Other,
}

/// What a `T` may say at a place, named by the keys that lead to it.
pub(super) fn shape_at<T: for<'de> Deserialize<'de>>(path: &[&str]) -> Shape {
    let mut found = Shape::Other;
    // Always ends with an error: once it is known what is asked for, there is nothing to give.
    let _ = T::deserialize(Probe { path, found: &mut found });
    found
}

/// A deserialiser that follows a path and notes what it is asked for at the end.
struct Probe<'p> {
    path: &'p [&'p str],
    found: &'p mut Shape,
}

/// The place is reached, or there is none.
#[derive(Debug, thiserror::Error)]
#[error("the place is reached")]
struct Reached;

impl de::Error for Reached {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Reached;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Reached> {
        Err(Reached)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Reached> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Reached> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Reached> {
        match self.path.split_first() {
            None => {
                *self.found = Shape::Table(fields);
                Err(Reached)
            }
            Some((&key, path)) => {
                visitor.visit_map(Step { key: Some(key), probe: Probe { path, found: self.found } })
            }
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Reached> {
        match self.path.split_first() {
            None => {
                *self.found = Shape::List;
                Err(Reached)
            }
            Some((_, path)) => {
                visitor.visit_seq(Step { key: None, probe: Probe { path, found: self.found } })
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Reached> {
        if self.path.is_empty() {
            *self.found = Shape::Choice(variants);
        }
        Err(Reached)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct map identifier ignored_any
    }
}

/// One step of the path, as a table of one key or a list of one element.
struct Step<'p> {
    key: Option<&'p str>,
    probe: Probe<'p>,
}

impl Step<'_> {
    fn probe(&mut self) -> Probe<'_> {
        Probe { path: self.probe.path, found: &mut *self.probe.found }
    }
}

impl<'de> MapAccess<'de> for Step<'_> {
    type Error = Reached;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Reached> {
        let key = self.key.take().ok_or(Reached)?;
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Reached> {
        seed.deserialize(self.probe())
    }
}

impl<'de> SeqAccess<'de> for Step<'_> {
    type Error = Reached;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Reached> {
        seed.deserialize(self.probe()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    #[allow(dead_code, reason = "only the shape is asked for")]
    struct Tree {
        one: Option<Leaf>,
        many: Vec<Leaf>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    #[allow(dead_code, reason = "only the shape is asked for")]
    struct Leaf {
        how_much: u32,
        which: Option<Which>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Which {
        This,
        That,
    }

    #[test]
    fn types_tell_their_keys_and_choices_through_options_and_lists() {
        for (path, expected) in [
            (&[][..], Shape::Table(&["one", "many"])),
            (&["one"], Shape::Table(&["how-much", "which"])),
            (&["one", "which"], Shape::Choice(&["this", "that"])),
            (&["one", "how-much"], Shape::Other),
            (&["many"], Shape::List),
            (&["many", ELEMENT], Shape::Table(&["how-much", "which"])),
            (&["many", ELEMENT, "which"], Shape::Choice(&["this", "that"])),
            (&["nowhere", "which"], Shape::Other),
        ] {
            assert_eq!(shape_at::<Tree>(path), expected, "{path:?}");
        }
    }
}
