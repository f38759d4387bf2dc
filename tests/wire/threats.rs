//! The table of attackers in SECURITY.md: each row names a test that is there.

use threshold_tests::workspace_root;

#[test]
fn every_attacker_of_the_link_has_a_test_that_is_there() {
    let page = std::fs::read_to_string(workspace_root().join("SECURITY.md")).unwrap();
    let section =
        page.split("## Attackers of the link").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    for row in &rows {
        // In quotes: a file, a test of it.
        let named: Vec<&str> = row.rsplit("| ").next().unwrap().split('`').collect();
        let [_, file, _, test, _] = named[..] else { panic!("{row}") };
        let source = std::fs::read_to_string(workspace_root().join(file)).unwrap();
        let there = source.contains(&format!("#[test]\nfn {test}()"))
            || source.contains(&format!("    #[test]\n    fn {test}()"));
        assert!(there, "{file} has no test {test}");
    }
    for attack in ["(reflection)", "(downgrade)", "flood the line", "a hostile unit"] {
        assert!(rows.iter().any(|row| row.contains(attack)), "{attack}");
    }
}
