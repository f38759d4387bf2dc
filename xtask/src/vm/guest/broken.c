/* A version of the unit that does nothing: it ends at once, before it says a word, as one that was built for another processor would. */

int main(void) {
    return 1;
}
